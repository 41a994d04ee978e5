"""The Streamlit pages over core."""
