from tests.app.conftest import *


def test_x(console, absences):
    at = console()
    print(texts(at))
    print(at.exception)
    print(spec(at))
    print(chart_rows(at)[:2])
    print(at.button, at.query_params)
    at = console("archive")
    print(texts(at))
    print(at.exception)
