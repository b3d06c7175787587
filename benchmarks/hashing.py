"""The limit of every sign-in: as many threads as the product uses, which do nothing but verify a password."""

import sys
from threading import Thread
from time import perf_counter, process_time

from healthcare.adapters.security.passwords import HASHER, THREADS


def main() -> None:
    """Hash for so many seconds; print how many hashes there were, and the seconds of processor time they took."""
    end = perf_counter() + float(sys.argv[1])
    known = HASHER.hash("a long and private password")
    counts: list[int] = []

    def work() -> None:
        number = 0
        while perf_counter() < end:
            HASHER.verify(known, "a long and private password")
            number += 1
        counts.append(number)

    begun, threads = process_time(), [Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts), process_time() - begun)  # noqa: T201 - read by who started this


if __name__ == "__main__":
    main()
