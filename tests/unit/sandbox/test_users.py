import pytest

from layerscope.sandbox.users import NoSuchUser, User, find_user

PASSWD = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nwww:x:33:34:a:/var/www:/bin/sh\n+nis::::::\n"
GROUP = "root:x:0:\nweb:x:34:\nmore:x:50:alice,www\nodd:x:no:www\n"


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("0", User(0, 0, (0,), "/root")),
        ("www", User(33, 34, (34, 50), "/var/www")),
        ("33", User(33, 34, (34, 50), "/var/www")),
        ("www:more", User(33, 50, (50,), "/var/www")),
        ("www:7", User(33, 7, (7,), "/var/www")),
        ("1234", User(1234, 0, (0,), "/")),
        ("1234:5", User(1234, 5, (5,), "/")),
    ],
)
def test_users_and_groups_are_those_of_the_image(wanted: str, user: User) -> None:
    assert find_user(wanted, PASSWD, GROUP) == user


@pytest.mark.parametrize("wanted", ["nobody", "www:nobody", "4294967296", "-1", "0:-1"])
def test_what_the_image_lacks_is_named(wanted: str) -> None:
    with pytest.raises(NoSuchUser, match=wanted.rpartition(":")[2]):
        find_user(wanted, PASSWD, GROUP)


def test_an_image_without_users_has_root() -> None:
    assert find_user("", "", "") == User(0, 0, (0,))
