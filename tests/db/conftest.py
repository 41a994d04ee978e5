# TEMPORARY (doctor/find co-founder): deleted at the end
import uuid
import pytest
from sqlalchemy import create_engine, text

@pytest.fixture(params=[5518, 5516, 5515])
def database_url(request):
    base = f"postgresql+psycopg2://postgres@127.0.0.1:{request.param}/"
    name = f"doc_{uuid.uuid4().hex[:10]}"
    admin = create_engine(base + "postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as c:
        c.execute(text(f"CREATE DATABASE {name}"))
    yield f"postgresql://postgres@127.0.0.1:{request.param}/{name}"
    with admin.connect() as c:
        c.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
