"""The dashboard's entry: the pages, the sidebar that says where one is, and the dialog over all of them."""

from __future__ import annotations

import streamlit as st

from core.errors import DeskError
from dashboard import confirm, notices, sidebar

st.set_page_config(page_title="Partition Desk", page_icon=":material/view_week:", layout="wide")

page = st.navigation(
    {
        "": [
            st.Page(
                "app_pages/overview.py",
                title="Overview",
                icon=":material/space_dashboard:",
                default=True,
                help="Is everything in place, and what needs doing now?",
            )
        ],
        "Operate": [
            st.Page(
                "app_pages/partitions.py",
                title="Partitions",
                icon=":material/view_list:",
                help="Every partition with its bounds, rows and sizes; create, archive and reattach.",
            ),
            st.Page(
                "app_pages/archive.py",
                title="Archive",
                icon=":material/archive:",
                help="Each period on its road: attached, due, archived, and back.",
            ),
            st.Page(
                "app_pages/doctor.py",
                title="Doctor",
                icon=":material/stethoscope:",
                help="Every check with its reason and remedy, and where the rows of a date are.",
            ),
        ],
        "Understand": [
            st.Page(
                "app_pages/activity.py",
                title="Activity",
                icon=":material/history:",
                help="What was done, by whom, why, with which SQL, and how it ended.",
            )
        ],
    }
)

try:
    sidebar.draw()
    notices.refusal()
    notices.under_way()
    page.run()
    confirm.open_if_asked()
except DeskError as error:
    notices.show(error)
