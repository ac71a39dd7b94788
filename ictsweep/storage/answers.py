"""What a bucket's server answers instead of doing as asked: which answers pass by themselves, and
what the others mean to a person.

boto3 is an extra: its exceptions are known here by their names, so that nothing is imported where
studies are kept on disks.
"""

from ictsweep.errors import PlaceError, StorageError, StorageFull
from ictsweep.storage.place import BucketPlace

_MOMENTARY = {
    "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
    "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "TooManyRequests", "InternalError", "ServiceUnavailable",
    "PriorRequestNotComplete", "BandwidthLimitExceeded", "XMinioServerNotInitialized",
}  # fmt: skip
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}
_CONNECTION = {
    "EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError", "ReadTimeoutError",
    "HTTPClientError", "ConnectionError", "ProxyConnectionError", "ResponseStreamingError",
    "IncompleteReadError", "ProtocolError", "ChecksumError", "FlexibleChecksumError",
    "CredentialRetrievalError", "MetadataRetrievalError",
}  # fmt: skip
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError",
    "SSOTokenLoadError", "UnauthorizedSSOTokenError", "NoAuthTokenError", "SSOError",
}  # fmt: skip
_WRONG_CREDENTIALS = {
    "AccessDenied", "AllAccessDisabled", "AccountProblem", "ExpiredToken", "ExpiredTokenException",
    "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "InvalidClientTokenId", "Forbidden", "403", "401", "Unauthorized",
}  # fmt: skip
_AGAIN = "what was recorded before is kept, and the same command continues"


def code(error: BaseException) -> str:
    """The code of an error that the server answered, its class's name for any other."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", "")) or str(_status(error))
    return type(error).__name__


def passing(error: BaseException) -> bool:
    """Whether an error may pass by itself: a server that is busy or away."""
    if _status(error):
        return code(error) in _MOMENTARY or _status(error) in (429, 500, 502, 503, 504)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & _CONNECTION) and "SSLError" not in kinds


def refused(error: BaseException, place: BucketPlace) -> StorageError:
    """The storage error that stands for what boto3 raised about `place`."""
    what, said = f"{place}: {_said(error)}", code(error)
    if said in _FULL or _status(error) == 507:
        return StorageFull(f"{what}. There is no room left: make some, and {_AGAIN}.")
    if said in ("NoSuchBucket", "InvalidBucketName", "ParamValidationError"):
        return PlaceError(
            f"{what}. Make the bucket {place.bucket} first (and see that AWS_ENDPOINT_URL names "
            "its server, where it is not Amazon's), or choose another --storage."
        )
    if said in _NO_CREDENTIALS:
        return PlaceError(
            f"{what}. Give credentials as for every AWS tool: `aws configure`, AWS_PROFILE, "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of the machine; {_AGAIN}."
        )
    if said == "RequestTimeTooSkewed":
        return PlaceError(f"{what}. Set this machine's clock right; {_AGAIN}.")
    if said in _WRONG_CREDENTIALS:
        return PlaceError(
            f"{what}. The credentials have expired or do not suffice: a study needs GetObject, "
            f"PutObject and DeleteObject under {place}, and ListBucket; renew them, and {_AGAIN}."
        )
    if said in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"):
        return PlaceError(f"{what}. Set AWS_REGION to the region of the bucket; {_AGAIN}.")
    if passing(error):
        return StorageError(f"{what}. The server stayed away; once it answers, {_AGAIN}.")
    return PlaceError(f"{what}. See that AWS_ENDPOINT_URL and AWS_REGION are right.")


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return 0
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _said(error: BaseException) -> str:
    """The server's words, without the sentence that boto3 builds around them."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        said = response.get("Error", {})
        return f"{code(error)} ({said.get('Message') or 'no reason given'})"
    return " ".join(str(error).split()).rstrip(".")
