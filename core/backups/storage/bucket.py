"""A bucket of S3, Google Cloud Storage or Azure as a place of backups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from core.backups.storage.aws import s3_config, s3_credentials, s3_endpoint
from core.backups.storage.base import NO_ROOM, TEXT_MOST, Storage, StoredObject, checked, failed, is_path
from core.errors import SettingError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART = 16 * 2**20
"""Bytes of one part of an upload. S3 takes 10,000 parts, so the largest backup has 156 GiB."""
PARTS_MOST = 10_000
_UPLOADS = 2
"""Parts under way at once. With the part that is being filled, an upload holds about three parts in memory."""
_RANGE = 8 * 2**20
"""Bytes asked for at once in a download. Each range is a request of its own, so that a slow reader breaks none."""
_CONNECT = timedelta(seconds=4)
_ANSWER = timedelta(seconds=9)
_RETRIES = 2
_GIVE_UP = timedelta(seconds=10)
"""After this long no further try begins; with _ANSWER, a place that doesn't answer is told of within 20 s."""
_PART_ANSWER = timedelta(seconds=120)
_PART_RETRIES = 6
_PART_GIVE_UP = timedelta(seconds=60)


class Bucket(Storage):
    """A bucket of an object store: `quick` for what is short, `patient` for the parts of backups, both of one bucket.

    The text of the library's errors can hold signed URLs, so that nothing of it is shown, nor kept as a cause.
    """

    def __init__(self, label: str, quick: ObjectStore, patient: ObjectStore) -> None:
        self.label = label
        self._quick = quick
        self._patient = patient

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        import obstore

        with self._telling("written"):
            self._reach(checked(path))  # an upload would ask for the first time after 16 MiB, and patiently
            writer = obstore.open_writer(self._patient, path, buffer_size=PART, max_concurrency=_UPLOADS)
        written = 0
        try:
            for chunk in chunks:
                written += len(chunk)
                if written > PART * PARTS_MOST:
                    raise failed(self.label, "written", "it is larger than 156 GiB", "Give a folder in BACKUP_URL.")
                with self._telling("written"):
                    writer.write(chunk)
        except BaseException as error:  # also Ctrl-C: an upload that stays open costs money unseen
            with suppress(obstore.exceptions.BaseError, OSError):
                writer.__exit__(type(error), error, error.__traceback__)  # obstore's only way to abort
            raise
        with self._telling("written"):
            writer.close()
        return written

    def write_text(self, path: str, text: str) -> None:
        import obstore

        with self._telling("written"):
            obstore.put(self._quick, checked(path), text.encode(), use_multipart=False)

    def read(self, path: str) -> Iterator[bytes]:
        import obstore

        with self._telling("read"):
            try:
                meta = obstore.head(self._quick, checked(path))
            except FileNotFoundError:
                self._reach(path)
                raise self._not_found(path) from None
        return self._ranges(path, meta["size"], meta["e_tag"])

    def read_text(self, path: str) -> str:
        import obstore

        with self._telling("read"):
            try:
                result = obstore.get(self._quick, checked(path))
            except FileNotFoundError:
                self._reach(path)
                raise self._not_found(path) from None
            size = result.meta["size"]
            content = result.bytes().to_bytes() if size <= TEXT_MOST else b""
        return self._text(path, size, content)

    def size(self, path: str) -> int | None:
        import obstore

        with self._telling("read"):
            try:
                return obstore.head(self._quick, checked(path))["size"]
            except FileNotFoundError:  # also where the whole bucket is missing
                self._reach(path)
                return None

    def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        import obstore

        with self._telling("listed"):
            found = [
                StoredObject(meta["path"], meta["size"])
                for batch in obstore.list(self._quick, checked(prefix) if prefix else None, chunk_size=1000)
                for meta in batch
                if is_path(meta["path"])
            ]
        return tuple(sorted(found, key=lambda entry: entry.path))

    def delete(self, path: str) -> None:
        import obstore

        with self._telling("deleted"):
            try:
                obstore.delete(self._quick, checked(path))
            except FileNotFoundError:
                self._reach(path)

    def _reach(self, path: str) -> None:
        """Asks for the bucket: an answer about an object doesn't tell a missing bucket from a missing object."""
        import obstore

        next(iter(obstore.list(self._quick, path)), None)

    def _ranges(self, path: str, size: int, e_tag: str | None) -> Iterator[bytes]:
        import obstore

        for start in range(0, size, _RANGE):
            end = min(start + _RANGE, size)
            with self._telling("read"):
                result = obstore.get(self._patient, path, options={"range": (start, end), "if_match": e_tag})
                content = result.bytes().to_bytes()
            if len(content) != end - start:
                raise failed(self.label, "read", "it ended too early", _AGAIN)
            yield content

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        import obstore

        try:
            yield
        except (obstore.exceptions.BaseError, OSError) as error:
            reason, next_ = _store_reason(str(error))
            raise failed(self.label, doing, reason, next_) from None


_AGAIN = "Try again once the network is well."
_CREDENTIALS = "See that the credentials in the environment, or of AWS_PROFILE, are the bucket's."
_STORE_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"SSOTokenLoadError|UnauthorizedSSOTokenError|TokenRetrievalError",
        "the sign-in of the AWS profile has ended",
        "Run aws sso login with the same AWS_PROFILE.",
    ),
    (
        r"External AWS credential provider",
        "the AWS profile gave no credentials",
        "See that aws sts get-caller-identity works with the same AWS_PROFILE.",
    ),
    (
        r"NoSuchBucket|ContainerNotFound|specified (bucket|container) does not exist",
        "there is no such bucket",
        "Make the bucket, or correct BACKUP_URL.",
    ),
    (
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google|/latest/api/token",
        "no credentials were found",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or what Google or Azure wants.",
    ),
    (r"RequestTimeTooSkewed", "this machine's clock is wrong", "Set the clock."),
    (r"ExpiredToken|TokenRefreshRequired|token.{0,20}expired", "the credentials have expired", "Get fresh ones."),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|InvalidToken|AuthenticationFailed"
        r"|InvalidSecurity|Unauthenticated|401 Unauthorized",
        "the credentials are wrong",
        _CREDENTIALS,
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved|307 Temporary"
        r"|without LOCATION",
        "the bucket is in another region",
        "Set AWS_REGION to the bucket's region.",
    ),
    (r"QuotaExceeded|StorageFull|InsufficientStorage|507 |EntityTooLarge", "there is no room left", NO_ROOM),
    (
        r"Content-MD5|[Xx]-[Aa]mz-[Cc]hecksum",
        "it wants a checksum with each object, as a bucket with Object Lock does",
        "Set AWS_CHECKSUM_ALGORITHM=sha256.",
    ),
    (
        r"InvalidObjectState|BlobArchived",
        "the object is asleep in the store's archive",
        "Wake it there first, as with aws s3api restore-object, and look again once that is done.",
    ),
    (r"ObjectLocked|WORM|retention", "what is there is protected against change", "Wait, or give another place."),
    (
        r"AccessDenied|AuthorizationPermissionMismatch|PermissionDenied|403 Forbidden",
        "the credentials may not do that, or are wrong",
        "The bucket's policy has to allow listing, reading, writing and deleting. " + _CREDENTIALS,
    ),
    (
        r"412 Precondition|Precondition \{|PreconditionFailed",
        "it was replaced while it was read",
        "Read it again.",
    ),
    (
        r"InvalidPath|invalid path",
        "an object there has a name that can't be read",
        "Give the backups a prefix of their own in BACKUP_URL.",
    ),
    (
        r"InvalidCertificate|certificate|UnknownIssuer|InvalidContentType|CorruptMessage",
        "no secure connection came about",
        "See that the endpoint is right, and set AWS_CA_BUNDLE where its certificate is one of your own.",
    ),
    (
        r"dns error|lookup address|Name or service",
        "its host name is not known",
        "Look at BACKUP_URL, AWS_ENDPOINT_URL and the network.",
    ),
    (
        r"ConnectionRefused|HostUnreachable|NetworkUnreachable|ConnectError|Connect,",
        "it can't be reached",
        "Look at AWS_ENDPOINT_URL and the network.",
    ),
    (r"TimedOut|timed out|Timeout", "it did not answer in time", _AGAIN),
    (
        r"ConnectionReset|ConnectionAborted|BrokenPipe|IncompleteMessage|UnexpectedEof|ChannelClosed|Canceled"
        r"|Kind::Body|kind: (Body|Decode|Request)|error sending request|error decoding response",
        "the connection was cut off",
        _AGAIN,
    ),
    (r"NotFound|404 Not Found", "what was asked for is not there", "Look at BACKUP_URL and AWS_ENDPOINT_URL."),
    (r"(?<!\d)(429|5\d\d) [A-Z]", "the store is out of order", "Try again later."),
)
"""What an answer, or the lack of one, looks like in obstore's errors, the surest first; what it means; what next."""


def _store_reason(text: str) -> tuple[str, str]:
    found = ((reason, next_) for pattern, reason, next_ in _STORE_REASONS if re.search(pattern, text))
    reason, next_ = next(found, ("the store's answer is not understood", "Look at BACKUP_URL and AWS_ENDPOINT_URL."))
    code = re.search(r"<Code>(\w{1,60})</Code>", text) or re.search(r"status: (\d{3})\b", text)
    return (f"{reason} ({code[1]})" if code else reason), next_


def open_bucket(scheme: str, url: str, environ: Mapping[str, str]) -> Bucket:
    from obstore.exceptions import BaseError

    if any(sign in url for sign in "@?#"):  # anywhere: a secret key can hold slashes
        raise SettingError(
            "BACKUP_URL has a user, a password, a question mark or a # in it.",
            next=f"Write {scheme}://bucket/prefix, and give credentials in variables of their own.",
        )
    name, _, prefix = url.partition("://")[2].partition("/")
    prefix = prefix.removesuffix("/")
    if not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]*", name):
        raise SettingError(f"BACKUP_URL names no bucket after {scheme}://.", next="Write it as in s3://bucket/prefix.")
    if prefix and not is_path(prefix):
        raise SettingError(
            f"BACKUP_URL's prefix {prefix!r} can't be used.",
            next="Use letters, digits and -._~%=+, between single slashes, no part of it beginning with a dot.",
        )
    client: ClientConfig = {"connect_timeout": _CONNECT, "timeout": _ANSWER}
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _GIVE_UP}
    part_client: ClientConfig = {"connect_timeout": _CONNECT, "timeout": _PART_ANSWER}
    part_retry: RetryConfig = {"max_retries": _PART_RETRIES, "retry_timeout": _PART_GIVE_UP}
    try:
        quick = _store(scheme, name, prefix or None, environ, client, retry)
        patient = _store(scheme, name, prefix or None, environ, part_client, part_retry)
    except (BaseError, ValueError):
        variables = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_STORAGE_ACCOUNT_NAME and other AZURE_"}[scheme]
        raise SettingError(
            f"BACKUP_URL begins with {scheme}://, and no store can be made of that and the environment.",
            next=f"Look at the {variables} variables.",
        ) from None
    return Bucket(f"{scheme}://{name}/{prefix}".rstrip("/"), quick, patient)


def _store(
    scheme: str, name: str, prefix: str | None, environ: Mapping[str, str], client: ClientConfig, retry: RetryConfig
) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, S3Store

    if scheme == "gs":
        return GCSStore(name, prefix=prefix, client_options=client, retry_config=retry)
    if scheme == "az":
        return AzureStore(name, prefix=prefix, client_options=client, retry_config=retry)
    endpoint = s3_endpoint(environ)
    authority = environ.get("AWS_CA_BUNDLE")
    options: ClientConfig = {**client, "allow_http": endpoint.startswith("http://")}
    if authority:
        try:
            options["root_certificate"] = Path(authority).read_bytes()
        except OSError as error:
            raise SettingError(f"AWS_CA_BUNDLE is {authority!r}, which can't be read: {error.strerror}.") from error
    return S3Store(
        name,
        prefix=prefix,
        config=s3_config(environ, endpoint),
        client_options=options,
        retry_config=retry,
        credential_provider=s3_credentials(environ),
    )
