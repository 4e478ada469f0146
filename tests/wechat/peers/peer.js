// A stranger's client of WeChat Pay at work: reads one JSON command a line, writes one JSON answer a line.
// Everything that signs, verifies or encrypts here is wechatpay-axios-plugin's, nothing of ours.
'use strict';

const { createInterface } = require('node:readline');
const { Wechatpay, Formatter, Rsa, Aes, Hash } = require('wechatpay-axios-plugin');

let client = null;

const commands = {
  open: ({ base, mchid, serial, privateKey, certs }) => {
    client = new Wechatpay({ baseURL: base, mchid, serial, privateKey, certs, timeout: 8000 });
    return {};
  },

  // A call of the plug-in's own client, which verifies every good answer.
  call: async ({ method, path, body, params, headers }) => {
    try {
      const answer = await client.client.request(path, method, body, { params, headers });
      return { ok: true, status: answer.status, data: answer.data };
    } catch (error) {
      const { response } = error;
      return { ok: false, code: String(error.code), status: response ? response.status : 0, data: response ? response.data : null };
    }
  },

  signRequest: ({ method, uri, timestamp, nonce, body, privateKey }) => {
    const message = Formatter.request(method, uri, timestamp, nonce, body);
    return { message, signature: Rsa.sign(message, Rsa.from(privateKey, Rsa.KEY_TYPE_PRIVATE)) };
  },

  paySign: ({ parts, privateKey }) => ({
    signature: Rsa.sign(Formatter.joinedByLineFeed(...parts), Rsa.from(privateKey, Rsa.KEY_TYPE_PRIVATE)),
  }),

  decrypt: ({ ciphertext, key, nonce, associated }) => ({ plain: Aes.AesGcm.decrypt(ciphertext, key, nonce, associated) }),

  bill: ({ text }) => {
    const read = Formatter.castCsvBill(Buffer.from(text, 'base64'));
    return { rows: read.rows, summary: read.summary, sha1: Hash.sha1(Buffer.from(text, 'base64')) };
  },

  // A notice as WeChat would send it, made by the plug-in; `spoil` says what is wrong with it.
  notice: async ({ url, id, event, kind, resource, key, serial, privateKey, spoil, age }) => {
    const [nonce, iv] = [Formatter.nonce(), Formatter.nonce(12)];
    const timestamp = String(Formatter.timestamp() - (age || 0));
    let body = JSON.stringify({
      id, create_time: new Date().toISOString().slice(0, 19) + '+00:00', resource_type: 'encrypt-resource', event_type: event, summary: '支付成功',
      resource: { original_type: kind, algorithm: 'AEAD_AES_256_GCM', ciphertext: Aes.AesGcm.encrypt(JSON.stringify(resource), key, iv, kind), associated_data: kind, nonce: iv },
    });
    let signature = Rsa.sign(Formatter.response(timestamp, nonce, body), Rsa.from(privateKey, Rsa.KEY_TYPE_PRIVATE));
    if (spoil === 'tampered') body = body.replace('"summary":"支付成功"', '"summary":"支付成功了"');
    if (spoil === 'reserialised') body = JSON.stringify(JSON.parse(body), null, 1);
    if (spoil === 'probe') signature = `WECHATPAY/SIGNTEST/${signature.slice(19)}`;
    const answer = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'manual',
      headers: {
        'Content-Type': 'application/json', 'Wechatpay-Timestamp': timestamp, 'Wechatpay-Nonce': nonce, 'Wechatpay-Signature': signature,
        'Wechatpay-Serial': spoil === 'unknown_serial' ? 'F'.repeat(40) : serial, 'Wechatpay-Signature-Type': 'WECHATPAY2-SHA256-RSA2048',
      },
    });
    return { status: answer.status, body: await answer.text() };
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { command, ...given } = JSON.parse(line);
  let said;
  try {
    said = await commands[command](given);
  } catch (error) {
    said = { crashed: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
});
