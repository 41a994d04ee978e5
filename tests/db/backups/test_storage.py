"""Buckets, on moto's S3: whole or not at all, in bounded memory, and every failure told in plain words."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core.backups.storage import base as base_module
from core.backups.storage import bucket as bucket_module
from core.backups.storage import open_storage
from core.backups.storage.base import Storage
from core.errors import BackupDamaged, BackupNotFound, StorageFailed, UsageError
from tests.objects import S3, SECRET, Answering, CuttingProxy, free_port

MEGABYTE = 2**20
HOME = Path("/nonexistent")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def bucket(s3: S3) -> Storage:
    return open_storage(s3.url, home=HOME, environ=s3.environ)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer retries, so that what stays broken is told of at once."""
    monkeypatch.setattr(bucket_module, "_RETRIES", 0)
    monkeypatch.setattr(bucket_module, "_PART_RETRIES", 1)


def chunks(total: int, size: int = MEGABYTE) -> Iterator[bytes]:
    for start in range(0, total, size):
        yield bytes([start // size % 251]) * min(size, total - start)


def sha256(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def unfinished(s3: S3) -> list[str]:
    return [upload["Key"] for upload in s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads", ())]


def keys(s3: S3) -> list[str]:
    return [found["Key"] for found in s3.client().list_objects_v2(Bucket=s3.bucket).get("Contents", ())]


@pytest.mark.parametrize("size", [0, 1, 3 * MEGABYTE + 1, 40 * MEGABYTE + 7])
def test_what_is_written_is_read(bucket: Storage, s3: S3, size: int) -> None:
    assert bucket.write("db/a.sql.zst", chunks(size)) == size
    assert bucket.size("db/a.sql.zst") == size
    assert sha256(bucket.read("db/a.sql.zst")) == sha256(chunks(size))
    (entry,) = bucket.list()
    assert (entry.path, entry.bytes) == ("db/a.sql.zst", size)
    assert keys(s3) == ["desk/db/a.sql.zst"]
    assert unfinished(s3) == []


MEASURE = """
import os, pathlib, re, sys
from core.backups.storage import open_storage

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

place = open_storage(sys.argv[1], home=pathlib.Path("/nonexistent"), environ=os.environ)
place.write("warm", [b"1"])
start = peak()
if sys.argv[2] == "write":
    print(place.write("big", (bytes([n % 251]) * 2**20 for n in range(160))), peak() - start)
else:
    print(sum(len(chunk) for chunk in place.read("big")), peak() - start)
"""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_object(s3: S3, record_property: Callable[[str, object], None]) -> None:
    took = {}
    for doing in ("write", "read"):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, s3.url, doing],
            env=dict(s3.environ), cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        passed, took[doing] = map(int, done.stdout.split())
        assert passed == 160 * MEGABYTE
    record_property("said", f"memory that 160 MiB through S3 took, in KiB: {took}")
    assert took["write"] < 90 * 1024
    assert took["read"] < 40 * 1024


class Mine(Exception):
    pass


@pytest.mark.parametrize("before", [0, 1, 40])
@pytest.mark.parametrize("error", [Mine, OSError, KeyboardInterrupt])
def test_a_source_that_breaks_leaves_nothing(bucket: Storage, s3: S3, before: int, error: type[BaseException]) -> None:
    def breaking() -> Iterator[bytes]:
        yield from chunks(before * MEGABYTE)
        raise error("mine")

    with pytest.raises(error, match="mine"):
        bucket.write("a", breaking())
    assert bucket.size("a") is None
    assert keys(s3) == []
    assert unfinished(s3) == []


def test_what_was_there_stays_when_its_successor_breaks(bucket: Storage) -> None:
    def breaking() -> Iterator[bytes]:
        yield from chunks(20 * MEGABYTE)
        raise Mine

    bucket.write("a", [b"first"])
    with pytest.raises(Mine):
        bucket.write("a", breaking())
    assert b"".join(bucket.read("a")) == b"first"
    bucket.write("a", [b"second"])
    assert b"".join(bucket.read("a")) == b"second"


def test_texts(bucket: Storage, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.write_text("a/b.json", "отсутствия ✓")
    assert bucket.read_text("a/b.json") == "отсутствия ✓"
    bucket.write_text("a/b.json", "")
    assert bucket.read_text("a/b.json") == ""
    bucket.write("a/c.json", [b"\xff\xfe"])
    with pytest.raises(BackupDamaged, match=r"a/c\.json in s3://.* is no text"):
        bucket.read_text("a/c.json")
    for module in (base_module, bucket_module):
        monkeypatch.setattr(module, "TEXT_MOST", 1)
    with pytest.raises(BackupDamaged, match="2 bytes"):
        bucket.read_text("a/c.json")


def test_what_is_absent(bucket: Storage) -> None:
    assert bucket.size("a") is None
    assert bucket.list() == ()
    bucket.delete("a")
    for reading in (bucket.read, bucket.read_text):
        with pytest.raises(BackupNotFound, match="There is no a in s3://"):
            reading("a")
    bucket.write("a", [b"1"])
    bucket.delete("a")
    assert bucket.size("a") is None


def test_a_listing_is_of_one_folder_and_leaves_out_what_others_put_there(bucket: Storage, s3: S3) -> None:
    names = ["a/b", "a/c/d", "ab/e", "a%2Fb/Kid%20%22A%22.2025=1,~+x", "Z"]
    for name in names:
        bucket.write_text(name, name)
    client = s3.client()
    for foreign in ("desk/my file.txt", "desk/folder/", "elsewhere", "deskx/a"):
        client.put_object(Bucket=s3.bucket, Key=foreign, Body=b"")
    assert [entry.path for entry in bucket.list() if entry.path != "folder"] == sorted(names)
    assert [entry.path for entry in bucket.list("a")] == ["a/b", "a/c/d"]
    assert [entry.path for entry in bucket.list("a/b")] == []
    for name in names:
        assert bucket.read_text(name) == name
    assert {f"desk/{name}" for name in names} <= set(keys(s3))
    client.put_object(Bucket=s3.bucket, Key="desk/a//b", Body=b"")
    with pytest.raises(StorageFailed, match="an object there has a name that can't be read"):
        bucket.list()


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.b", "a\0", "a\nb", "a\\b", "a b", "ä", "a?b", "a#b",
     "a&b", "x" * 256, "/".join(["x" * 200] * 5)],
)  # fmt: skip
def test_hostile_paths(bucket: Storage, s3: S3, path: str) -> None:
    for use in (bucket.read, bucket.read_text, bucket.size, bucket.delete):
        with pytest.raises(UsageError, match="can't be the path of a backup"):
            use(path)
    with pytest.raises(UsageError):
        bucket.write(path, [b"1"])
    with pytest.raises(UsageError):
        bucket.write_text(path, "1")
    if path:
        with pytest.raises(UsageError):
            bucket.list(path)


USES: tuple[Callable[[Storage], object], ...] = (
    lambda storage: storage.write("a", [b"1"]),
    lambda storage: storage.write_text("a", "1"),
    lambda storage: b"".join(storage.read("a")),
    lambda storage: storage.read_text("a"),
    lambda storage: storage.size("a"),
    lambda storage: storage.list(),
    lambda storage: storage.delete("a"),
)


def told(storage: Storage, secrets: tuple[str, ...] = (SECRET, "AKTEST", "StringToSign")) -> set[str]:
    """What every use of the place tells, past its subject; none tells a secret, nor shows the library's own words."""
    reasons = set()
    for use in USES:
        with pytest.raises(StorageFailed) as caught:
            use(storage)
        error = caught.value
        assert error.what.endswith(".")
        assert error.next.endswith(".")
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert not any(secret in str(error) for secret in secrets)
        assert storage.label in error.what
        reasons.add(error.what.partition(": ")[2])
    return reasons


def test_a_missing_bucket(s3: S3) -> None:
    storage = open_storage("s3://no-such-bucket/x", home=HOME, environ=s3.environ)
    assert told(storage) == {"there is no such bucket (NoSuchBucket)."}


WITHOUT_A_BODY = (
    "the credentials may not do that, or are wrong",
    "there is no room left",
    "the store is out of order",
    "the store's answer is not understood",
)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "InvalidAccessKeyId", "the credentials are wrong (InvalidAccessKeyId)."),
        (403, "SignatureDoesNotMatch", "the credentials are wrong (SignatureDoesNotMatch)."),
        (403, "AccessDenied", "the credentials may not do that, or are wrong (AccessDenied)."),
        (400, "ExpiredToken", "the credentials have expired (ExpiredToken)."),
        (301, "PermanentRedirect", "the bucket is in another region."),
        (507, "XMinioStorageFull", "there is no room left (XMinioStorageFull)."),
        (503, "SlowDown", "the store is out of order (SlowDown)."),
        (418, "Teapot", "the store's answer is not understood (Teapot)."),
    ],
)
def test_an_answer_that_refuses(s3: S3, status: int, code: str, reason: str) -> None:
    with Answering(status, code) as store:
        found = told(open_storage(s3.url, home=HOME, environ=s3.through(store.endpoint)))
    # A HEAD is answered without a body, so that there the status has to do.
    assert found - {reason} <= {f"{word} ({status})." for word in WITHOUT_A_BODY}
    assert reason in found


@pytest.mark.usefixtures("impatient")
def test_no_credentials_at_all(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answering(404, "") as machine:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine.endpoint)  # where obstore asks for the machine's own
        environ = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": s3.endpoint}
        assert told(open_storage(s3.url, home=HOME, environ=environ)) == {"no credentials were found (404)."}


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_nobody_is_at(s3: S3) -> None:
    storage = open_storage(s3.url, home=HOME, environ=s3.through(f"http://127.0.0.1:{free_port()}"))
    assert told(storage) == {"it can't be reached."}


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_does_not_speak_tls(s3: S3) -> None:
    storage = open_storage(s3.url, home=HOME, environ=s3.through(s3.endpoint.replace("http:", "https:")))
    assert told(storage) == {"no secure connection came about."}


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_never_answers(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_ANSWER", timedelta(seconds=0.2))
    with CuttingProxy(s3.endpoint, after=0, up=True, silent=True) as network:
        assert told(open_storage(s3.url, home=HOME, environ=s3.through(network.endpoint))) == {
            "it did not answer in time."
        }


@pytest.mark.usefixtures("impatient")
def test_a_connection_cut_midway_through_an_upload(s3: S3) -> None:
    with CuttingProxy(s3.endpoint, after=20 * MEGABYTE, up=True) as network:
        storage = open_storage(s3.url, home=HOME, environ=s3.through(network.endpoint))
        with pytest.raises(StorageFailed, match=r"can't be written to s3://.*: the connection was cut off\.") as caught:
            storage.write("a", chunks(60 * MEGABYTE))
    assert network.cut > 0
    assert caught.value.safe == "Nothing half-written is left as a backup."
    assert keys(s3) == []


def test_an_upload_whose_last_part_fails_is_aborted(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PART_RETRIES", 0)
    left = s3.client().create_multipart_upload(Bucket=s3.bucket, Key="somebody's")
    with CuttingProxy(s3.endpoint, after=20 * MEGABYTE, up=True, cuts=1) as network:
        storage = open_storage(s3.url, home=HOME, environ=s3.through(network.endpoint))
        with pytest.raises(StorageFailed, match="the connection was cut off"):
            storage.write("a", chunks(24 * MEGABYTE))
    assert network.cut == 1
    assert unfinished(s3) == [left["Key"]]  # the test would see one


@pytest.mark.usefixtures("impatient")
def test_a_connection_cut_midway_through_a_download(s3: S3, bucket: Storage) -> None:
    bucket.write("a", chunks(20 * MEGABYTE))
    with CuttingProxy(s3.endpoint, after=11 * MEGABYTE, up=False) as network:
        reading = open_storage(s3.url, home=HOME, environ=s3.through(network.endpoint)).read("a")
        assert len(next(reading)) == 8 * MEGABYTE
        with pytest.raises(StorageFailed, match=r"can't be read from s3://.*: the connection was cut off\."):
            list(reading)
    assert network.cut > 0


@pytest.mark.parametrize("up", [True, False])
def test_a_connection_that_is_cut_and_comes_back(s3: S3, up: bool) -> None:
    with CuttingProxy(s3.endpoint, after=10 * MEGABYTE, up=up, cuts=2) as network:
        storage = open_storage(s3.url, home=HOME, environ=s3.through(network.endpoint))
        storage.write("a", chunks(30 * MEGABYTE))
        assert sha256(storage.read("a")) == sha256(chunks(30 * MEGABYTE))
    assert network.cut == 2
    assert unfinished(s3) == []


def test_an_object_replaced_while_it_is_read(bucket: Storage) -> None:
    bucket.write("a", chunks(10 * MEGABYTE))
    reading = bucket.read("a")
    next(reading)
    bucket.write("a", chunks(10 * MEGABYTE, 1000))
    with pytest.raises(StorageFailed, match="it was replaced while it was read"):
        next(reading)


def test_a_profile_of_the_home_directory(s3: S3, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        f"[other]\n[desk]\naws_access_key_id = AKTEST\naws_secret_access_key = {SECRET}\n"
    )
    (tmp_path / ".aws/config").write_text(
        f"[profile desk]\nregion = eu-west-1\nendpoint_url = {s3.endpoint}\ns3 =\n  max_queue_size = 1000\n"
    )
    storage = open_storage(s3.url, home=HOME, environ={"HOME": str(tmp_path), "AWS_PROFILE": "desk"})
    storage.write("a", chunks(MEGABYTE))
    assert keys(s3) == ["desk/a"]


def profiles(s3: S3, folder: Path, desk: str) -> dict[str, str]:
    """The environment with the profile `desk` in a file of credentials of another name."""
    file = folder / "credentials"
    file.write_text(
        f"[base]\naws_access_key_id = AKTEST\naws_secret_access_key = {SECRET}\n"
        f"[desk]\nregion = eu-west-1\nendpoint_url = {s3.endpoint}\n{desk}\n"
    )
    return {"HOME": str(folder), "AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "desk"}


@pytest.mark.parametrize(
    "desk",
    [
        f"aws_access_key_id = AKTEST\naws_secret_access_key = {SECRET}",
        "role_arn = arn:aws:iam::123456789012:role/desk\nsource_profile = base",
        "credential_process = cat {folder}/key",
    ],
    ids=["keys", "a role", "a program"],
)
def test_a_profile_of_a_file_of_credentials(s3: S3, tmp_path: Path, desk: str) -> None:
    key = {"Version": 1, "AccessKeyId": "AKTEST", "SecretAccessKey": SECRET}
    (tmp_path / "key").write_text(json.dumps(key))
    environ = profiles(s3, tmp_path, desk.replace("{folder}", str(tmp_path)))
    storage = open_storage(s3.url, home=HOME, environ=environ)
    storage.write("a", chunks(MEGABYTE))
    assert b"".join(storage.read("a")) == b"".join(chunks(MEGABYTE))
    assert keys(s3) == ["desk/a"]


@pytest.mark.parametrize(
    ("desk", "said"),
    [
        ("credential_process = false", "the AWS profile gave no credentials"),
        (
            "sso_start_url = https://sign-in.example/start\nsso_region = eu-west-1\nsso_account_id = 1"
            "\nsso_role_name = desk",
            "the sign-in of the AWS profile has ended",
        ),
    ],
    ids=["a program", "SSO"],
)
def test_a_profile_that_gives_no_credentials(s3: S3, tmp_path: Path, desk: str, said: str) -> None:
    storage = open_storage(s3.url, home=HOME, environ=profiles(s3, tmp_path, desk))
    assert told(storage) == {f"{said}."}
