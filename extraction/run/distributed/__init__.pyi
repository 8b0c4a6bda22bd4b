from .ranks import default_shard, local_device, rank_and_world
from .runner import harvest_with_workers

__all__ = [
    "default_shard",
    "harvest_with_workers",
    "local_device",
    "rank_and_world",
]
