"""`fta-approval menu publish`: 审批列表 in the application's menu."""

import time

from adapters.wecom import menu as menus
from adapters.wecom.client import WeComError
from web.addresses import public_addresses
from web.outside import outgoing_session, wecom_client
from web.remedies import remedy
from web.settings import PREFIX, Settings

ENTRY = "审批列表"


class NotPublished(Exception):
    """The menu is as it was; says why, and what to do."""


async def publish_menu(settings: Settings) -> str:
    """
    Put 审批列表, which opens the todo page, into the menu beside what stands there.

    Returns:
        What has been done, in one line.

    Raises:
        NotPublished: Nothing has been done.
    """
    if settings.app_url is None:
        raise NotPublished(
            f"{PREFIX}APP_URL is not set: set it to the public address up to and including wechat/"
        )
    todo = public_addresses(settings, settings.listen).todo
    try:
        return await _publish(settings, menus.entry(ENTRY, todo))
    except menus.MenuFull:
        raise NotPublished(
            "the menu has three other entries, which is the most that WeCom allows: remove one "
            "under 应用管理 → the application → 自定义菜单, then run this again"
        ) from None
    except WeComError as error:
        raise NotPublished(f"{error}; {remedy(error)}") from None


async def _publish(settings: Settings, new: menus.Button) -> str:
    async with outgoing_session(settings) as session:
        wecom, agent_id = wecom_client(settings, session, time.monotonic), settings.wecom_agent_id
        if wecom is None or agent_id is None:
            raise NotPublished(
                f"set {PREFIX}WECOM_CORP_ID, {PREFIX}WECOM_SECRET and {PREFIX}WECOM_AGENT_ID first"
            )
        # WeCom only takes whole menus: what somebody else changes between these calls is lost.
        menu = await menus.read_menu(wecom, agent_id)
        changed = menus.with_entry(menu, new)
        if changed == menu:
            return f"{ENTRY} opens {new['url']} already; nothing changed"
        await menus.write_menu(wecom, agent_id, changed)
    return f"{ENTRY} opens {new['url']}; entries beside it: {len(changed) - 1}"
