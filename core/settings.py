"""Reads every environment variable of Partition Desk, typed, in one place."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from platformdirs import user_data_path

from core.errors import SettingError, UsageError
from core.period import Duration
from core.targets import Targets, read_targets

_TRUTH = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


FIRST_TABLE = "kid_absences"
"""The table that is meant where no other is named; it is cut by years."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of OpenID Connect, and what this dashboard is to it."""

    metadata: str
    """PARTITION_DESK_OIDC_URL: where it describes itself, .../.well-known/openid-configuration."""
    client_id: str
    """PARTITION_DESK_OIDC_CLIENT_ID."""
    client_secret: str = field(repr=False)
    """PARTITION_DESK_OIDC_CLIENT_SECRET."""
    address: str
    """PARTITION_DESK_URL: of this dashboard, as browsers have it."""
    claim: str
    """PARTITION_DESK_OIDC_NAME: the claim that names people; an e-mail counts where the provider has verified it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; README.md has the table for people."""

    database_url: str | None = field(repr=False)
    """DATABASE_URL, as it was given; None means the embedded server. May hold a password."""
    database_read_url: str | None = field(repr=False)
    """DATABASE_READ_URL: the same database as a role that only looks; None: looked at as it is acted."""
    home: Path
    """PARTITION_DESK_HOME, absolute: where the embedded server keeps its data."""
    key: str = field(repr=False)
    """PARTITION_DESK_KEY: what the journal's rows are sealed with; empty for a key of the console's own in its home."""
    open: bool
    """PARTITION_DESK_OPEN: whether a dashboard on loopback asks nobody who is there."""
    user_header: str
    """PARTITION_DESK_USER_HEADER: in which header a reverse proxy says who is there; empty where none does."""
    proxies: tuple[str, ...]
    """PARTITION_DESK_PROXY: the addresses and networks that this header is believed from."""
    provider: Provider | None
    """PARTITION_DESK_OIDC_...: who signs people in; None where nobody does."""
    role_claim: str
    """PARTITION_DESK_ROLE_CLAIM: the claim whose values lists of people may name, as groups=desk-admins; or empty."""
    accounts: bool
    """PARTITION_DESK_ACCOUNTS: whether people sign in with a name and a password that are kept in the home."""
    session_s: int
    """PARTITION_DESK_SESSION: after how many seconds a sign-in has ended."""
    metrics_token: str = field(repr=False)
    """PARTITION_DESK_METRICS_TOKEN: who asks for /metrics has to bear it; empty: whoever is on this machine may."""
    admins: tuple[str, ...]
    """PARTITION_DESK_ADMINS: who may do all; names, and files with a name a line as @/path, read at each act."""
    operators: tuple[str, ...]
    """PARTITION_DESK_OPERATORS: who may create ahead, back up, verify, sample, and find the rows of a value."""
    auditors: tuple[str, ...]
    """PARTITION_DESK_AUDITORS: who may look, and sees in the journal who did what."""
    viewers: tuple[str, ...]
    """PARTITION_DESK_VIEWERS: who may look; * for everybody who is signed in."""
    two_persons: tuple[str, ...]
    """PARTITION_DESK_TWO_PERSONS: the operations that one admin asks for and another approves."""
    audit_log: str
    """PARTITION_DESK_AUDIT_LOG: the record's second place, a whole path or `syslog`; empty for none."""
    archive_after: Duration
    """PARTITION_DESK_ARCHIVE_AFTER: a partition that ended longer ago is due for archive."""
    enable_absence_partitions: bool
    """ENABLE_ABSENCE_PARTITIONS: whether an application's start-up creates partitions."""
    lock_budget_ms: int
    """PARTITION_DESK_LOCK_BUDGET_MS: how long one try may make others wait."""
    patience_s: float
    """PARTITION_DESK_PATIENCE_S: how long tries are repeated before giving up."""
    archive_schema: str
    """PARTITION_DESK_ARCHIVE_SCHEMA."""
    table: str
    """PARTITION_DESK_TABLE: the table of a command or page that names none, with or without its schema."""
    time_zone: str
    """PARTITION_DESK_TIME_ZONE: the application's, in which a date begins."""
    backup_url: str
    """BACKUP_URL: where backups are kept; empty for the folder `backups` in the home. Holds no password."""
    proof_url: str | None = field(repr=False)
    """PARTITION_DESK_PROOF_URL: a server on which backups are proven; None for one of this machine's programs."""
    allow_drop: bool
    """PARTITION_DESK_ALLOW_DROP: whether an archived table may be dropped at all."""
    drop_after: Duration
    """PARTITION_DESK_DROP_AFTER: how long a table waits between the wish to drop it and the drop."""
    verify_every: Duration
    """PARTITION_DESK_VERIFY_EVERY: a backup that was not restored and compared for longer is told of."""
    drill: Duration | None
    """PARTITION_DESK_DRILL: after how long the running dashboard proves the newest backup of each partition again, one
    a night; None: never."""
    maintain: bool
    """PARTITION_DESK_MAINTAIN: whether the running dashboard keeps to the rules of the tables by itself."""
    hold: Duration
    """PARTITION_DESK_HOLD: how long a restored table is kept from every rule."""
    storage_limit: int | None
    """PARTITION_DESK_STORAGE_LIMIT: bytes on the server that are not to be passed."""
    price_hot: float | None
    """PARTITION_DESK_PRICE_HOT: what a GB (10^9 bytes) on the server costs a month; None: no money is shown."""
    price_cold: float | None
    """PARTITION_DESK_PRICE_COLD: the same in cold storage."""
    currency: str
    """PARTITION_DESK_CURRENCY: of the prices."""
    sample_daily: bool
    """PARTITION_DESK_SAMPLE: whether the running dashboard samples sizes, at most once a day."""
    keep_samples: Duration | None
    """PARTITION_DESK_KEEP_SAMPLES: older samples are forgotten; None: never."""
    weekly_after: Duration | None
    """PARTITION_DESK_WEEKLY_AFTER: of older samples one a week is kept; None: all of them."""
    alarms: Targets
    """PARTITION_DESK_ALARM_...: where alarms go, and which."""

    @property
    def names_people(self) -> bool:
        """Whether anybody is given a role by name."""
        return bool(self.admins or self.operators or self.auditors or self.viewers)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of `environ`; an empty variable counts as unset. Raises SettingError, naming the variable."""
    found = Settings(
        database_url=environ.get("DATABASE_URL") or None,
        database_read_url=environ.get("DATABASE_READ_URL") or None,
        home=_home(environ),
        key=_key(environ, "PARTITION_DESK_KEY"),
        open=_truth(environ, "PARTITION_DESK_OPEN", "false"),
        user_header=_header(environ, "PARTITION_DESK_USER_HEADER"),
        proxies=_networks(environ, "PARTITION_DESK_PROXY"),
        provider=_provider(environ),
        role_claim=environ.get("PARTITION_DESK_ROLE_CLAIM", "").strip(),
        accounts=_truth(environ, "PARTITION_DESK_ACCOUNTS", "false"),
        session_s=_seconds(environ, "PARTITION_DESK_SESSION", "12 hours"),
        metrics_token=_key(environ, "PARTITION_DESK_METRICS_TOKEN"),
        admins=_people(environ, "PARTITION_DESK_ADMINS"),
        operators=_people(environ, "PARTITION_DESK_OPERATORS"),
        auditors=_people(environ, "PARTITION_DESK_AUDITORS"),
        viewers=_people(environ, "PARTITION_DESK_VIEWERS", everybody=True),
        two_persons=_two_persons(environ, "PARTITION_DESK_TWO_PERSONS"),
        audit_log=_audit_log(environ, "PARTITION_DESK_AUDIT_LOG"),
        archive_after=_duration(environ, "PARTITION_DESK_ARCHIVE_AFTER", "3 years"),
        enable_absence_partitions=_truth(environ, "ENABLE_ABSENCE_PARTITIONS", "true"),
        lock_budget_ms=int(_number(environ, "PARTITION_DESK_LOCK_BUDGET_MS", "100", 1, 60_000, whole=True)),
        patience_s=_number(environ, "PARTITION_DESK_PATIENCE_S", "300", 0, 86_400),
        archive_schema=environ.get("PARTITION_DESK_ARCHIVE_SCHEMA") or "archive",
        table=environ.get("PARTITION_DESK_TABLE") or FIRST_TABLE,
        time_zone=_time_zone(environ, "PARTITION_DESK_TIME_ZONE", "UTC"),
        backup_url=environ.get("BACKUP_URL", "").strip(),
        proof_url=environ.get("PARTITION_DESK_PROOF_URL", "").strip() or None,
        allow_drop=_truth(environ, "PARTITION_DESK_ALLOW_DROP", "true"),
        drop_after=_duration(environ, "PARTITION_DESK_DROP_AFTER", "7 days"),
        verify_every=_duration(environ, "PARTITION_DESK_VERIFY_EVERY", "1 year"),
        drill=_duration_or_none(environ, "PARTITION_DESK_DRILL"),
        maintain=_truth(environ, "PARTITION_DESK_MAINTAIN", "false"),
        hold=_duration(environ, "PARTITION_DESK_HOLD", "90 days"),
        storage_limit=_bytes(environ, "PARTITION_DESK_STORAGE_LIMIT"),
        price_hot=_price(environ, "PARTITION_DESK_PRICE_HOT"),
        price_cold=_price(environ, "PARTITION_DESK_PRICE_COLD"),
        currency=_currency(environ, "PARTITION_DESK_CURRENCY", "EUR"),
        sample_daily=_truth(environ, "PARTITION_DESK_SAMPLE", "true"),
        keep_samples=_duration_or_none(environ, "PARTITION_DESK_KEEP_SAMPLES"),
        weekly_after=_duration_or_none(environ, "PARTITION_DESK_WEEKLY_AFTER"),
        alarms=read_targets(environ),
    )
    _require_whole_sign_in(found)
    return found


def _require_whole_sign_in(found: Settings) -> None:
    """Raises SettingError for a sign-in by which nobody could come in, or anybody as anyone, and for no second one."""
    if found.database_read_url and not found.database_url:
        raise SettingError("DATABASE_READ_URL is set, and DATABASE_URL is not.", next="Set both, of one database.")
    if found.two_persons and not found.admins:
        raise SettingError(
            "PARTITION_DESK_TWO_PERSONS takes two admins, and none is named.", next="Set PARTITION_DESK_ADMINS."
        )
    if found.user_header and not found.proxies:
        raise SettingError(
            "PARTITION_DESK_USER_HEADER is set, and PARTITION_DESK_PROXY does not say from where it is believed.",
            next="Set it to the address of the reverse proxy: whoever else can reach this could say to be anyone.",
        )
    if found.role_claim and (found.provider is None or not re.fullmatch(r"[^\s=,@][^\s=,]{0,199}", found.role_claim)):
        raise SettingError(
            f"PARTITION_DESK_ROLE_CLAIM is {found.role_claim!r}, which is no claim of a sign-in by OpenID Connect.",
            next="Write one such as groups, beside the PARTITION_DESK_OIDC_URL of the provider that says it.",
        )
    ways = {
        "PARTITION_DESK_USER_HEADER": found.user_header,
        "PARTITION_DESK_OIDC_URL": found.provider,
        "PARTITION_DESK_ACCOUNTS": found.accounts,
    }
    chosen = [name for name, value in ways.items() if value]
    if len(chosen) > 1:
        raise SettingError(f"{' and '.join(chosen)} are both set.", next="Choose one sign-in.")
    if chosen and not found.names_people:
        raise SettingError(
            "There is a sign-in, and nobody is named who may do anything.",
            next="Set PARTITION_DESK_ADMINS, and the others as needed: README, Who may act.",
        )


def _home(environ: Mapping[str, str]) -> Path:
    text = environ.get("PARTITION_DESK_HOME")
    if not text:
        # root's own data directory lies under a private home, which the server's OS user can't enter.
        if os.geteuid() == 0:
            return Path("/var/lib/partition-desk")
        return user_data_path("partition-desk", appauthor=False)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise SettingError(
            f"PARTITION_DESK_HOME is {text!r}, and there is no home directory of that user.",
            next="Write the whole path.",
        ) from error


def _key(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "")
    if text and len(text) < 16:
        raise SettingError(f"{name} has {len(text)} characters.", next="Write a random text of 16 or more.")
    return text


_OIDC = ("PARTITION_DESK_OIDC_URL", "PARTITION_DESK_OIDC_CLIENT_ID", "PARTITION_DESK_OIDC_CLIENT_SECRET")


def _provider(environ: Mapping[str, str]) -> Provider | None:
    wanted = (*_OIDC, "PARTITION_DESK_URL")
    if not any(environ.get(name) for name in _OIDC):
        return None
    lacking = [name for name in wanted if not environ.get(name)]
    if lacking:
        raise SettingError(f"A sign-in by OpenID Connect lacks {' and '.join(lacking)}.")
    metadata, client, secret, address = (environ[name].strip() for name in wanted)
    for name, url in ((_OIDC[0], metadata), (wanted[-1], address)):
        parts = urlsplit(url)
        if (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE)) or parts.query:
            raise SettingError(
                f"{name} is {url!r}, which is no address with https.", next="http serves on 127.0.0.1 alone."
            )
    return Provider(metadata, client, secret, address.rstrip("/"), environ.get("PARTITION_DESK_OIDC_NAME") or "email")


_HERE = ("127.0.0.1", "localhost", "::1")
_SPANS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_SPAN = re.compile(r"([0-9]{1,6}) *(second|minute|hour|day)s?", re.IGNORECASE)


def _seconds(environ: Mapping[str, str], name: str, default: str) -> int:
    text = environ.get(name) or default
    match = _SPAN.fullmatch(text.strip())
    seconds = int(match[1]) * _SPANS[match[2].lower()] if match else 0
    if not 1 <= seconds <= 30 * 86_400:
        raise SettingError(
            f"{name} is {text!r}, which is no time up to 30 days.", next="Write a number and a unit: 12 hours."
        )
    return seconds


def _header(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip()
    if text and not re.fullmatch(r"[A-Za-z0-9-]{1,80}", text):
        raise SettingError(f"{name} is {text!r}, which is no name of a header.", next="Write one as X-Forwarded-Email.")
    return text


def _networks(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = parse_names(name, environ.get(name, ""))
    for one in found:
        try:
            network = ipaddress.ip_network(one)
        except ValueError as error:
            raise SettingError(
                f"{name} has {one!r}, which is no address.", next="Write one as 10.0.0.5, or a network as 10.0.0.0/24."
            ) from error
        if not network.prefixlen:
            raise SettingError(f"{name} is {one}: everybody.", next="Write the address of the reverse proxy alone.")
    return found


EVERYBODY = "*"
"""In a list of names: whoever is signed in."""


def parse_names(setting: str, text: str) -> tuple[str, ...]:
    """The names of a list with commas. Raises SettingError for what is no name."""
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    for name in names:
        if not name.isprintable() or len(name) > 254:
            raise SettingError(f"{setting} has {name[:80]!r}, which is no name.", next="Write names, with commas.")
    return names


def _people(environ: Mapping[str, str], name: str, *, everybody: bool = False) -> tuple[str, ...]:
    names = parse_names(name, environ.get(name, ""))
    if EVERYBODY in names and not everybody:
        raise SettingError(f"{name} is {EVERYBODY}: everybody.", next="Name who it is; everybody can be a viewer.")
    relative = next((one for one in names if one.startswith("@") and not Path(one[1:]).is_absolute()), None)
    if relative is not None:
        raise SettingError(f"{name}: {relative} is no whole path of a file.", next="Write it as @/etc/people.")
    return names


MAY_TAKE_TWO = ("archive", "reattach", "adopt", "release", "drop", "restore", "hold", "key", "rules")
"""What an admin does, and two of them where the settings say so; to plan a drop counts as dropping."""


def _two_persons(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    names = parse_names(name, environ.get(name, ""))
    wrong = next((one for one in names if one not in MAY_TAKE_TWO), None)
    if wrong is not None:
        raise SettingError(f"{name} has {wrong!r}.", next=f"Choose of {', '.join(MAY_TAKE_TWO)}.")
    return names


def _audit_log(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip()
    if text and text != "syslog" and not Path(text).is_absolute():
        raise SettingError(f"{name} is {text!r}.", next="Write the whole path of a file, or syslog.")
    return text


def _duration(environ: Mapping[str, str], name: str, default: str) -> Duration:
    try:
        return Duration.parse(environ.get(name) or default)
    except UsageError as error:
        raise SettingError(f"{name}: {error.what}", next=error.next) from error


def _duration_or_none(environ: Mapping[str, str], name: str) -> Duration | None:
    return _duration(environ, name, "") if environ.get(name) else None


_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)\s*(?:bytes?|([kmgtp])(i?)b)", re.IGNORECASE | re.ASCII)


def parse_bytes(text: str) -> int:
    """'500 GB' (of 10^9 bytes), '2 TiB' (of 2^40), '1000000 bytes'. Raises UsageError; a unit is required."""
    match = _SIZE.fullmatch(text.strip())
    factor = (1024 if match[3] else 1000) ** (" kmgtp".index(match[2].lower()) if match[2] else 0) if match else 0
    size = int(Decimal(match[1]) * factor) if match else 0
    if not 1 <= size < 2**63:
        raise UsageError(f"{text!r} is not a size.", next="Write a number and a unit, such as 500 GB or 2 TiB.")
    return size


def _bytes(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        return parse_bytes(text)
    except UsageError as error:
        raise SettingError(f"{name}: {error.what}", next=error.next) from error


def _price(environ: Mapping[str, str], name: str) -> float | None:
    return _number(environ, name, "", 0, 1_000_000) if environ.get(name) else None


def _currency(environ: Mapping[str, str], name: str, default: str) -> str:
    text = (environ.get(name) or default).strip()
    if not (text.isprintable() and 1 <= len(text) <= 8):
        raise SettingError(f"{name} is {text!r}, which is no currency.", next="Write one such as EUR or $.")
    return text


def _truth(environ: Mapping[str, str], name: str, default: str) -> bool:
    text = environ.get(name) or default
    truth = _TRUTH.get(text.strip().lower())
    if truth is None:
        raise SettingError(f"{name} is {text!r}, which is neither true nor false.", next="Set it to true or false.")
    return truth


def _number(
    environ: Mapping[str, str], name: str, default: str, least: int, most: int, *, whole: bool = False
) -> float:
    text = environ.get(name) or default
    try:
        number = float(int(text)) if whole else float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:  # false for NaN as well
        kind = "a whole number" if whole else "a number"
        raise SettingError(f"{name} is {text!r}, which is not {kind} from {least} to {most}.")
    return number


def _time_zone(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name) or default
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of the database, as "Europe"
        raise SettingError(
            f"{name} is {text!r}, which is no time zone known here.", next="Write one such as UTC or Europe/Berlin."
        ) from error
    return text
