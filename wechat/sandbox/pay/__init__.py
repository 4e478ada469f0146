"""The double of ``api.mch.weixin.qq.com``: strict as the real one, refusals included."""
