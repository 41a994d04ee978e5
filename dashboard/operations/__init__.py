"""Operations on every page: those under way, how they ended, the journal."""
