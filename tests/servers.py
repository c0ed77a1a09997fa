"""Servers for the tests of remotes, on free ports: `python -m tests.servers s3` or `... ssh FOLDER`.

Each is a process that prints its port once it listens, and ends where its standard input does, so that none outlives
the tests.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


def serve_s3() -> None:
    """Serve S3 from memory; any credentials will do."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)  # noqa: T201
    sys.stdin.read()
    server.stop()


async def serve_ssh(folder: Path) -> None:
    """Serve a folder over SFTP to whoever holds the key `folder/../user_key`, which is made here."""
    import asyncssh

    user = asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(folder.parent / "user_key")
    user.write_public_key(folder.parent / "authorized_keys")
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=str(folder.parent / "authorized_keys"),
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder).encode()),
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    if sys.argv[1] == "s3":
        serve_s3()
    else:
        asyncio.run(serve_ssh(Path(sys.argv[2])))
