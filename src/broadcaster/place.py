"""Where a workspace may live: on a disk of this machine, in no folder that something else copies away.

Two copies of a ledger mail everyone twice, and a database that is synchronised while it is written
arrives damaged. So folders of Dropbox and its like, and disks of other machines, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

# a folder's name → whose it is; the programs add an account's name after a dash or in brackets
_SYNCED: Final = re.compile(
    r"(?P<who>Dropbox|OneDrive|Google ?Drive|My Drive|iCloud ?Drive|Mobile Documents|CloudStorage|Nextcloud|ownCloud|"
    r"pCloud ?Drive|MEGA|MEGAsync|Box Sync|Seafile|Syncthing|Proton ?Drive|Tresorit)(?: ?[-(].*)?"
)
# what these programs leave in a folder that they copy
_MARKS: Final = (".dropbox.cache", ".stfolder", ".nextcloudsync.log", ".owncloudsync.log", ".sync_journal.db")
# file systems of other machines (proc(5): third column of /proc/mounts). Encrypted and overlay ones are local.
_FOREIGN: Final = re.compile(
    r"nfs4?|cifs|smb3|smbfs|afs|ceph|glusterfs|lustre|ncpfs|davfs|"
    r"fuse\.(?:sshfs|rclone|davfs2?|gvfsd-fuse|s3fs|gcsfuse|google-drive-ocamlfuse|onedriver|dropboxfs|curlftpfs|smbnetfs|"
    r"glusterfs|ceph|juicefs|portal)"
)


def elsewhere(folder: PurePath, mounts: str, exists: Callable[[PurePath], bool]) -> str | None:
    """Why a folder is no place for a workspace, None where it is one.

    `folder` is absolute with its links resolved, `mounts` the text of /proc/mounts ("" where there is none).
    """
    for part in (folder, *folder.parents):
        if part.name and (found := _SYNCED.fullmatch(part.name)):
            return f"is in a folder that {found['who']} copies elsewhere ({part})"
        for mark in _MARKS:
            if exists(part / mark):
                return f"is in a folder that some program copies elsewhere ({part / mark})"
    kind = _file_system(folder, mounts)
    return f"is on a disk of another machine ({kind})" if _FOREIGN.fullmatch(kind) else None


def _file_system(folder: PurePath, mounts: str) -> str:
    """The type of the file system that holds a folder: of the deepest mount, the last one where several lie on it."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # spaces in a path are written \040
        point = PurePath(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind
