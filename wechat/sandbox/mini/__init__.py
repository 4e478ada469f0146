"""The double of ``api.weixin.qq.com``: the mini-program's server interfaces, refusals included."""
