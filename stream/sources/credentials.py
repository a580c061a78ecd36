"""User and password of a source that are not in its address."""

from __future__ import annotations

import netrc
import os
import stat

from configs.errors import ConfigError, RefusedError
from stream.address import printable
from stream.sources.url import Url

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def with_credentials(url: Url, file: str | None) -> Url:
    """An address with user and password: its own, else those of the file for its host, else of the environment.

    Args:
        url: the address.
        file: a path; None: there is no file.

    Raises:
        ConfigError: the file cannot be read, or is written wrongly.
        RefusedError: others may read the file.
    """
    if url.has_user:
        return url
    if file is not None and (found := user_in(os.path.expanduser(file), url.host)):
        return url.with_user(*found)
    user, password = os.environ.get("POSESTREAM_USER", ""), os.environ.get("POSESTREAM_PASSWORD", "")
    return url.with_user(user, password) if user or password else url


def check_private(status: os.stat_result, what: str, label: str) -> None:
    """Make sure that nobody else can read a file that holds secrets.

    Args:
        status: of the file.
        what: it is, for people.
        label: its path, for people.

    Raises:
        RefusedError: others may read it, or it belongs to another user.
    """
    if os.name != "posix":
        return
    if status.st_uid not in (0, os.geteuid()):
        raise RefusedError(f"{what} belongs to another user; make a file of your own")
    if status.st_mode & _OTHERS:
        raise RefusedError(f"{what} can be read by others; run: chmod 600 {label}")


def user_in(path: str, host: str) -> tuple[str, str] | None:
    """User and password that a file names for a host; None: it names none.

    Raises:
        ConfigError: the file cannot be read, or is written wrongly.
        RefusedError: others may read the file.
    """
    label = printable(path)
    try:
        check_private(os.stat(path), f"credentials {label}", label)
        found = netrc.netrc(path).authenticators(host)
    except RefusedError:
        raise
    except OSError as error:
        raise ConfigError(f"credentials {label} cannot be read: {error.strerror}; check live.credentials") from None
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:  # whose text may quote a password
        line = f" in line {error.lineno}" if isinstance(error, netrc.NetrcParseError) and error.lineno else ""
        problem = (
            f"credentials {label} are written wrongly{line}; a line is `machine HOST login USER password PASSWORD`"
        )
    else:
        return (found[0] or found[1], found[2] or "") if found else None
    raise ConfigError(problem)
