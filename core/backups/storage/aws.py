"""What AWS's own programs read from the environment and ~/.aws; obstore knows the environment alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import SettingError

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Config, S3Credential, S3CredentialProvider


def s3_config(environ: Mapping[str, str], endpoint: str) -> S3Config:
    """The settings of S3, credentials among them where the environment or a profile has any."""
    config: S3Config = {"disable_bulk_delete": True}  # which not every store that speaks S3 knows
    if endpoint:
        config["endpoint"] = endpoint
    profile = _aws_profile(environ)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.get("region")
    if region:
        config["region"] = region
    keys = {name: environ.get(name.upper(), "") for name in _AWS_KEYS}
    if not _has_credentials(environ):
        keys = {name: profile.get(name, "") for name in _AWS_KEYS}
    if keys["aws_access_key_id"]:
        if not keys["aws_secret_access_key"]:
            raise SettingError("There is an AWS_ACCESS_KEY_ID without its AWS_SECRET_ACCESS_KEY.")
        config["access_key_id"] = keys["aws_access_key_id"]
        config["secret_access_key"] = keys["aws_secret_access_key"]
        if keys["aws_session_token"]:
            config["session_token"] = keys["aws_session_token"]
    return config


_AWS_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_AWS_OTHERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""With one of these, obstore gets credentials by itself, or needs none."""
_AWS_INDIRECT = ("role_arn", "sso_session", "sso_start_url", "credential_process", "login_session")
_FRESH = timedelta(minutes=10)
"""How long credentials of boto3 are used before it is asked again: it gives none that end sooner."""


def _has_credentials(environ: Mapping[str, str]) -> bool:
    """Whether the environment has credentials, before which no profile counts."""
    return bool(environ.get("AWS_ACCESS_KEY_ID")) or any(environ.get(name) for name in _AWS_OTHERS)


def s3_credentials(environ: Mapping[str, str]) -> S3CredentialProvider | None:
    """What asks boto3 for credentials that the profile gets by SSO, a role or a program; None where it has plain keys.

    Nobody is asked before the store is. Raises SettingError where boto3 is not installed.
    """
    profile = _aws_profile(environ)
    indirect = next((name for name in _AWS_INDIRECT if name in profile), None)
    if indirect is None or _has_credentials(environ) or profile.get("aws_access_key_id"):
        return None
    if find_spec("boto3") is None:
        raise SettingError(
            f"The AWS profile {_profile_name(environ)!r} gets its credentials by {indirect}, which takes boto3.",
            next='Install partition-desk[aws], or run eval "$(aws configure export-credentials --format env)" first.',
        )

    @cache
    def provider() -> Boto3CredentialProvider:
        import botocore.session  # type: ignore[import-untyped]
        from obstore.auth.boto3 import Boto3CredentialProvider

        asked = botocore.session.Session(profile=_profile_name(environ))
        for variable, file in zip(("config_file", "credentials_file"), _aws_files(environ), strict=True):
            asked.set_config_variable(variable, file)
        return Boto3CredentialProvider(asked, ttl=_FRESH)

    def credentials() -> S3Credential:
        return provider()()

    return credentials


def s3_endpoint(environ: Mapping[str, str]) -> str:
    """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's; empty for Amazon's own."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next((environ[name] for name in names if environ.get(name)), "")
    endpoint = endpoint or _aws_profile(environ).get("endpoint_url", "")
    if endpoint and not re.fullmatch(r"https?://[^@?#\s]+", endpoint):
        raise SettingError(
            "AWS_ENDPOINT_URL is no plain http:// or https:// address.",
            next="Write it as in https://minio.example.com:9000, without user and password.",
        )
    return endpoint.rstrip("/")


def _profile_name(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"


def _aws_profile(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The profile's settings, of both files; empty where there is no profile and none was asked for."""
    name = _profile_name(environ)
    config, credentials = map(_read_ini, _aws_files(environ))
    section = name if name == "default" and "profile default" not in config else f"profile {name}"
    found = {**config.get(section, {}), **credentials.get(name, {})}
    if not found and name != "default":
        raise SettingError(
            f"There is no AWS profile {name!r} in ~/.aws/credentials or ~/.aws/config.", next="Correct AWS_PROFILE."
        )
    return found


def _aws_files(environ: Mapping[str, str]) -> tuple[str, str]:
    """The paths of the files of profiles: config and credentials."""
    folder = Path(environ.get("HOME") or Path.home()) / ".aws"
    return (
        environ.get("AWS_CONFIG_FILE") or str(folder / "config"),
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(folder / "credentials"),
    )


def _read_ini(path: str) -> dict[str, dict[str, str]]:
    """The sections of a file, which may be missing."""
    parser = RawConfigParser(default_section="", strict=False, allow_no_value=True)
    try:
        parser.read(Path(path).expanduser(), encoding="utf-8")
    except (OSError, ConfigError, UnicodeDecodeError):  # the message would quote a line, which may be the secret
        raise SettingError(f"{path} can't be read as a file of AWS profiles.") from None
    return {name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()}
