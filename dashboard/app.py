"""The dashboard's entry: the pages, the sidebar that says where one is, and the dialogs over all of them."""

from __future__ import annotations

import streamlit as st

from core.errors import ConnectionFailed, DeskError
from dashboard import finder, notices, sidebar
from dashboard.dialog import body, many
from dashboard.operations import live
from dashboard.state import access, database, kept, reads

# A Material icon here would be fetched from its maker's host; nothing is asked of any other host than this one.
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g fill="#2f6fed">
<rect x="2" y="4" width="5" height="16" rx="1.5" fill="#8a94a6"/><rect x="9.5" y="4" width="5" height="16" rx="1.5"/>
<rect x="17" y="4" width="5" height="16" rx="1.5" fill="#9dc0ff"/></g></svg>"""


def _database() -> str:
    """Which one it is, told in the tab; a dash where the settings name none that can be used."""
    try:
        return database.named()
    except DeskError:
        return "-"


refused = access.refusal()
title = "Partition Desk" if refused is not None else f"{_database()} · Partition Desk"
st.set_page_config(page_title=title, page_icon=ICON, layout="wide")

if refused is not None:
    st.title("Nothing is shown here", anchor=False)
    notices.show(refused)
    access.sign_out()
    st.stop()

OVERVIEW = st.Page(
    "app_pages/overview.py",
    title="Overview",
    icon=":material/space_dashboard:",
    default=True,
    help="Is everything in place, and what needs doing now?",
)
PARTITIONS = st.Page(
    "app_pages/partitions.py",
    title="Partitions",
    icon=":material/view_list:",
    help="Every partition with its bounds, rows and sizes; create, archive and reattach.",
)
ARCHIVE = st.Page(
    "app_pages/archive.py",
    title="Archive",
    icon=":material/archive:",
    help="Each period on its road: attached, archived, backed up, verified, dropped, and back.",
)
RULES = st.Page(
    "app_pages/rules.py",
    title="Rules",
    icon=":material/rule:",
    help="What should be true of the table, what that does over a year, and who said so.",
)
DOCTOR = st.Page(
    "app_pages/doctor.py",
    title="Doctor",
    icon=":material/stethoscope:",
    help="Every check with its reason and remedy, and where the rows of a date are.",
)
GROWTH = st.Page(
    "app_pages/growth.py",
    title="Growth",
    icon=":material/trending_up:",
    help="How much is stored, how fast it grows, when it hurts, and what archiving saves.",
)
ACTIVITY = st.Page(
    "app_pages/activity.py",
    title="Activity",
    icon=":material/history:",
    help="What was done, by whom, why, with which SQL, and how it ended.",
)
PAGES = (OVERVIEW, PARTITIONS, ARCHIVE, RULES, DOCTOR, GROWTH, ACTIVITY)
OPERATION = st.Page("app_pages/operation.py", title="Operation", visibility="hidden")

page = st.navigation(
    {"": [OVERVIEW], "Operate": [PARTITIONS, ARCHIVE, RULES, DOCTOR], "Understand": [GROWTH, ACTIVITY, OPERATION]}
)

kept.keep()
notices.word()
trouble = reads.trouble()
sidebar.draw(trouble)
if trouble is not None:
    reached = not isinstance(trouble, ConnectionFailed)
    st.title("The console can't begin" if reached else "The database can't be reached", anchor=False)
    notices.show(trouble)
else:
    with notices.told():
        finder.go_on(page)
        live.draw()
        page.run()
    with notices.told():
        if not notices.refusal() and not body.open_if_asked() and not many.open_if_asked():
            finder.open_if_asked(PAGES)
