"""Laws of where a workspace may live."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from broadcaster.place import elsewhere

MOUNTS = """\
overlay / overlay rw 0 0
/dev/sda1 /home ext4 rw 0 0
server:/export /home/office nfs4 rw 0 0
//nas/share /mnt/our\\040files cifs rw 0 0
me@host: /home/me/far fuse.sshfs rw 0 0
/dev/sdb1 /media/stick fuseblk rw 0 0
gocryptfs /home/me/safe fuse.gocryptfs rw 0 0
"""


def why(folder: str, *marks: str) -> str | None:
    return elsewhere(PurePosixPath(folder), MOUNTS, lambda path: str(path) in marks)


@pytest.mark.parametrize(
    "folder",
    [
        "/home/me/Dropbox/appeals",
        "/home/me/Dropbox (Personal)/appeals",
        "/home/me/OneDrive - Water for All/appeals",
        "/Users/me/Library/Mobile Documents/com~apple~CloudDocs/appeals",
        "/Users/me/Library/CloudStorage/GoogleDrive-me/appeals",
        "/home/me/Nextcloud",
    ],
)
def test_a_synchronised_folder_is_no_place(folder: str) -> None:
    assert "copies elsewhere" in (why(folder) or "")


@pytest.mark.parametrize(
    "folder", ["/home/me/appeals", "/srv/dropbox-archive", "/home/box/x", "/media/stick/x", "/home/me/safe/x"]
)
def test_a_folder_of_our_own_is_a_place(folder: str) -> None:
    assert why(folder) is None


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/office/x", "nfs4"), ("/mnt/our files/x", "cifs"), ("/home/me/far/a/b", "fuse.sshfs")],
)
def test_a_disk_of_another_machine_is_no_place(folder: str, kind: str) -> None:
    assert kind in (why(folder) or "")


def test_a_program_s_mark_in_a_folder_above_tells() -> None:
    assert why("/home/me/work/appeals") is None
    assert "/home/me/work/.stfolder" in (why("/home/me/work/appeals", "/home/me/work/.stfolder") or "")


def test_without_a_list_of_mounts_only_names_tell() -> None:
    assert elsewhere(PurePosixPath("/home/office/x"), "", lambda _: False) is None
