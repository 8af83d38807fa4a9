"""WeCom (企业微信): its callback, its API, the words of its members."""
