"""postgresql.conf and pg_hba.conf of the private cluster, tuned for the machine's memory."""

from __future__ import annotations

import os
from pathlib import Path

_HBA = """\
# Written by makan: passwords always, the socket and the loopback address only.
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
host  all all ::1/128 scram-sha-256
"""


def memory_mb() -> int:
    """Physical memory of the machine in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def settings(memory: int, cores: int, version: int) -> dict[str, str]:
    """Server settings for ``memory`` MB and ``cores``; a quarter of memory is shared buffers.

    JIT costs more than it gives on a map server's short queries. WAL is compressed and large, since
    loads write in bursts; before PostgreSQL 15 there is only a slow compression, a fifth of the
    time of making indexes.
    """
    return {
        "shared_buffers": f"{max(128, min(memory // 4, 16_384))}MB",
        "effective_cache_size": f"{max(256, memory * 6 // 10)}MB",
        "maintenance_work_mem": f"{max(64, min(memory // 16, 2_048))}MB",
        "work_mem": f"{max(8, min(memory // 256, 128))}MB",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "wal_compression": "lz4" if version >= 15 else "off",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "64",
        "max_connections": "100",
        "max_worker_processes": str(max(4, cores * 2)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(max(1, cores // 2)),
        "jit": "off",
        "timezone": "UTC",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",
        "idle_in_transaction_session_timeout": "10min",
    }


def write(data: Path, *, port: int, socket_folder: str) -> None:
    """Writes both files into the data folder ``data``, for the version that made it."""
    version = int((data / "PG_VERSION").read_text().split(".")[0])
    lines = [
        "# Written by makan, tuned for this machine; made again by `makan db reset`.",
        "listen_addresses = '127.0.0.1'",
        f"port = {port}",
        f"unix_socket_directories = '{socket_folder}'",
        "unix_socket_permissions = 0777",
        "password_encryption = 'scram-sha-256'",
    ]
    lines += [
        f"{name} = '{value}'"
        for name, value in settings(memory_mb(), os.cpu_count() or 1, version).items()
    ]
    (data / "makan.conf").write_text("\n".join(lines) + "\n")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude 'makan.conf'\n")
    (data / "pg_hba.conf").write_text(_HBA)
