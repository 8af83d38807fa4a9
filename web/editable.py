"""What the configuration page asks for: in which order, under which name, and where one finds it.

The eight settings of FTA's manual stand first, under the names that administrators know.
"""

from typing import NamedTuple

TEXT, SECRET_TEXT, TOKENS, CHOICE, SWITCH, PEOPLE = (
    "text",
    "secret",
    "tokens",
    "choice",
    "switch",
    "people",
)


class Item(NamedTuple):
    """One setting. Texts are Chinese, translated when they are shown."""

    name: str
    title: str
    what: str
    """What it is, and where it stands in WeCom's admin site."""
    rule: str = "格式不正确"
    """What is wrong where it cannot be taken."""
    kind: str = TEXT
    choices: tuple[tuple[str, str], ...] = ()
    restart: bool = False
    """It takes effect at the next start."""


class Section(NamedTuple):
    """Settings that are saved together."""

    name: str
    title: str
    items: tuple[Item, ...]


PEOPLE_RULE = "请填写成员账号，用逗号分隔；账号只含字母、数字和 _ - @ ."
ADDRESS_RULE = "必须是 http 或 https 地址"
SECTIONS = (
    Section(
        "wecom",
        "企业微信",
        (
            Item(
                "app_url",
                "微信端地址(外网可访问)",
                "外网能访问的地址，到 wechat/ 结束，例如 https://mycompany.com/o/bk_fta_solutions/wechat/",
                "必须是 http 或 https 地址，并以 /wechat/ 结束",
            ),
            Item(
                "static_url",
                "微信端静态资源地址(外网可访问)",
                "默认即可；使用 nginx 路径映射或 CDN 时填写绝对地址，以 / 结束",
                "必须是路径或 http、https 地址，并以 / 结束",
                restart=True,
            ),
            Item(
                "wecom_token",
                "TOKEN",
                "应用管理 → 应用 → 接收消息 → 设置API接收 中的 Token，两处必须相同",
                "必须是 1 到 32 位字母或数字",
                SECRET_TEXT,
            ),
            Item(
                "wecom_encoding_aes_key",
                "EncodingAESKey",
                "应用管理 → 应用 → 接收消息 → 设置API接收 中的 EncodingAESKey，两处必须相同",
                "必须是 43 位字母或数字",
                SECRET_TEXT,
            ),
            Item("wecom_corp_id", "CorpID", "我的企业 → 企业信息 → 企业ID"),
            Item(
                "wecom_secret",
                "Secret",
                "应用管理 → 应用 → Secret（不是通讯录同步的 Secret）",
                kind=SECRET_TEXT,
            ),
            Item(
                "wecom_agent_id", "微信消息的 Agent_ID", "应用管理 → 应用 → AgentId", "必须是数字"
            ),
            Item(
                "super_approvers",
                "审批管理员",
                "收到所有审批消息，可以审批所有审批单；填写通讯录中的账号，用逗号分隔，须在应用可见范围内",
                PEOPLE_RULE,
                PEOPLE,
            ),
        ),
    ),
    Section(
        "people",
        "配置与审计",
        (
            Item(
                "admins",
                "配置管理员",
                "可以打开本页并修改配置；填写通讯录中的账号，用逗号分隔",
                PEOPLE_RULE,
                PEOPLE,
            ),
            Item("auditors", "审计员", "可以查看所有审批记录", PEOPLE_RULE, PEOPLE),
        ),
    ),
    Section(
        "messages",
        "审批消息",
        (
            Item(
                "message_style",
                "消息形式",
                "审批人收到文本消息、带按钮的卡片，或两者",
                kind=CHOICE,
                choices=(("text", "文本"), ("card", "卡片"), ("both", "文本和卡片")),
            ),
            Item("text_link", "文本中附详情链接", "在文本消息末尾加一行详情地址", kind=SWITCH),
            Item(
                "time_zone",
                "时区",
                "页面和消息中时间的时区，例如 Asia/Shanghai",
                "没有这个时区",
            ),
        ),
    ),
    Section(
        "engines",
        "执行方",
        (
            Item(
                "api_tokens",
                "API 令牌",
                "每个执行方一个名称和令牌，写作 名称:令牌；轮换时同一名称可有两个",
                "必须写作 名称:令牌，令牌至少 16 个字符，同一名称最多两个",
                TOKENS,
            ),
            Item(
                "api_readers",
                "可查看全部的执行方",
                "执行方的名称，用逗号分隔",
                "没有这个名称的令牌",
            ),
            Item("api_rate", "每个令牌每秒请求数", "0 表示不限制", "必须是不小于 0 的整数"),
            Item(
                "permit_ttl",
                "执行许可有效期（秒）",
                "同意之后多久内必须开始执行",
                "必须是允许范围内的秒数",
            ),
            Item(
                "webhook_secret",
                "推送签名密钥",
                "whsec_ 开头；不填写时使用系统自动生成的密钥",
                "必须是 whsec_ 加 base64，或 名称:whsec_…",
                SECRET_TEXT,
            ),
            Item(
                "callback_hosts",
                "允许推送的主机",
                "主机名、*.域名 或 CIDR，用逗号分隔；不填写时不限制",
                "必须是主机名、*.域名 或 CIDR",
            ),
        ),
    ),
    Section(
        "network",
        "网络（一般无需修改）",
        (
            Item("wecom_api_url", "企业微信接口地址", "使用代理转发时填写", ADDRESS_RULE),
            Item("wecom_oauth_url", "企业微信授权地址", "使用代理转发时填写", ADDRESS_RULE),
            Item("wecom_login_url", "企业微信扫码登录地址", "使用代理转发时填写", ADDRESS_RULE),
            Item(
                "wecom_proxy",
                "访问企业微信的代理",
                "例如 http://proxy.mycompany.com:3128",
                ADDRESS_RULE,
            ),
        ),
    ),
)
ITEMS = {item.name: item for section in SECTIONS for item in section.items}
