"""`makan fabric check`, all rules, over sample cities of several sizes: how the time grows."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.city import clean_environment
from benchmarks.load import Timed, timed
from pipeline import testing
from pipeline.db.cluster import Cluster

SIZES = (30_000, 100_000, 300_000)
GOAL_S = 20.0


def measured(cluster: Cluster, template: str, folder: Path, parcels: int) -> Timed:
    """Makes a city, loads it into a fresh database, and checks it twice: the second time counts."""
    place = folder / f"city-{parcels}"
    run = [sys.executable, "-m", "pipeline"]
    if not (place / "truth.csv").exists():
        words = [*run, "sample", str(place), "--parcels", str(parcels), "--seed", "1387"]
        subprocess.run([*words, "--dirt", "0", "--no-imagery"], check=True)
    with testing.clone(testing.Settings(home=cluster.home, city="qom", database=template)) as found:
        environment = clean_environment(
            MAKAN_HOME=str(cluster.home), MAKAN_DATABASE=found.settings.database
        )
        timed([*run, "load", "--all", str(place)], environment)
        timed([*run, "fabric", "check"], environment)
        return timed([*run, "fabric", "check"], environment)


def main() -> None:
    """Prints seconds and memory for each size, and the growth from size to size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, default=Path(".makan") / "bench")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="makan-bench-") as home,
        testing.running_cluster(Path(home)) as cluster,
    ):
        template = testing.template(cluster, "qom").database
        for parcels in chosen.parcels:
            one = measured(cluster, template, chosen.folder, parcels)
            each = one.cpu / parcels * 1e6
            print(
                f"{parcels} parcels: {one.wall:.1f} s (goal < {GOAL_S:g} s for 300000), "
                f"{one.cpu:.1f} CPU-s of ours = {each:.0f} us a parcel, peak {one.peak_mb:.0f} MB"
            )


if __name__ == "__main__":
    main()
