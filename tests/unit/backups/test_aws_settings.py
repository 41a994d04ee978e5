"""How the settings of a bucket are read from AWS's variables and files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.backups.storage.bucket import Bucket
from core.errors import SettingError
from tests.unit.backups.places import KEY, SECRET, opened


def settings(environ: dict[str, str]) -> dict[str, object]:
    """What obstore got."""
    storage = opened("s3://bucket", environ)
    assert isinstance(storage, Bucket)
    return dict(storage._quick.config)


@pytest.fixture
def aws(tmp_path: Path) -> Path:
    """A home directory with AWS's files in it."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        "[short]\naws_access_key_id=AKSHORT\naws_secret_access_key=s%h(o)rt\naws_session_token=t==\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-central-1\n"
        "[profile short]\nregion=eu-west-3\nendpoint_url = https://minio.example.com:9000/\ns3 =\n  addressing = path\n"
        "[profile inside]\naws_access_key_id = AKIN\naws_secret_access_key = in\n"
        "[profile sso]\nsso_session = work\nregion = eu-west-3\n"
    )
    return tmp_path


def test_the_default_profile(aws: Path) -> None:
    found = settings({"HOME": str(aws)})
    assert (found["access_key_id"], found["secret_access_key"], found["region"]) == (KEY, SECRET, "eu-central-1")
    assert "endpoint" not in found


def test_a_profile(aws: Path) -> None:
    found = settings({"HOME": str(aws), "AWS_PROFILE": "short"})
    assert found["access_key_id"] == "AKSHORT"
    assert found["secret_access_key"] == "s%h(o)rt"
    assert found["session_token"] == "t=="
    assert found["region"] == "eu-west-3"
    assert found["endpoint"] == "https://minio.example.com:9000"
    assert settings({"HOME": str(aws), "AWS_PROFILE": "inside"})["access_key_id"] == "AKIN"


def test_files_of_other_names(aws: Path, tmp_path: Path) -> None:
    (aws / ".aws").rename(tmp_path / "moved")
    environ = {
        "HOME": str(aws),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "moved/credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "moved/config"),
    }
    assert settings(environ)["access_key_id"] == KEY
    assert "access_key_id" not in settings({"HOME": str(aws)})


def test_variables_come_before_the_profile(aws: Path) -> None:
    environ = {
        "HOME": str(aws),
        "AWS_PROFILE": "short",
        "AWS_ACCESS_KEY_ID": "AKENV",
        "AWS_SECRET_ACCESS_KEY": "env",
        "AWS_DEFAULT_REGION": "eu-south-2",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    }
    found = settings(environ)
    assert (found["access_key_id"], found["secret_access_key"]) == ("AKENV", "env")
    assert "session_token" not in found
    assert (found["region"], found["endpoint"]) == ("eu-south-2", "http://127.0.0.1:9000")
    assert settings({**environ, "AWS_REGION": "eu-north-1"})["region"] == "eu-north-1"
    web = {"HOME": str(aws), "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token"}
    assert "access_key_id" not in settings(web)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"AWS_PROFILE": "none"}, "no AWS profile 'none'.* Correct AWS_PROFILE"),
        ({"AWS_ACCESS_KEY_ID": "AK"}, "without its AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL": "minio:9000"}, "no plain http"),
        ({"AWS_ENDPOINT_URL": f"http://me:{SECRET}@minio:9000"}, "no plain http"),
        ({"AWS_CA_BUNDLE": "/nonexistent/ca.pem"}, "AWS_CA_BUNDLE is '/nonexistent/ca.pem', which can't be read"),
        ({"AWS_CA_BUNDLE": "/dev/null/x"}, "AWS_CA_BUNDLE"),
    ],
)
def test_settings_that_can_not_be_used(aws: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        settings({"HOME": str(aws), **environ})
    assert SECRET not in str(caught.value)


def test_a_profile_that_signs_in_takes_boto3(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"HOME": str(aws), "AWS_PROFILE": "sso"}
    found = settings(environ)
    assert "access_key_id" not in found
    assert found["region"] == "eu-west-3"
    monkeypatch.setitem(sys.modules, "boto3", None)
    message = r"'sso' gets its credentials by sso_session, .*partition-desk\[aws\].*export-credentials"
    with pytest.raises(SettingError, match=message):
        settings(environ)
    assert settings({**environ, "AWS_PROFILE": "short"})["access_key_id"] == "AKSHORT", "plain keys need none"


def test_a_file_of_profiles_that_is_none_is_not_quoted(aws: Path) -> None:
    (aws / ".aws/credentials").write_text(f"{SECRET}\n")
    with pytest.raises(SettingError, match=r"\.aws/credentials can't be read") as caught:
        settings({"HOME": str(aws)})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
