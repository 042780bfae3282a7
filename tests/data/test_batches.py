import pytest
import torch

from src.data.batches import Batch, BatchLoader, EpochOrder

SIZE, BATCH = 103, 20  # the last batch has 3 samples


def loader(sampler: EpochOrder | None = None, rank: int = 0, world_size: int = 1) -> BatchLoader:
    images = torch.arange(SIZE, dtype=torch.uint8).view(SIZE, 1, 1).expand(SIZE, 28, 28).contiguous()
    return BatchLoader(images, torch.arange(SIZE), BATCH, sampler, rank, world_size)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochOrder(SIZE, seed)
        sampler.set_epoch(epoch)
        return sampler.positions().tolist()

    torch.manual_seed(1)
    first = order(7, 3)
    torch.manual_seed(2)
    assert order(7, 3) == first
    assert order(7, 4) != first
    assert order(8, 3) != first
    assert order(8, 2) != first  # no sum of the two
    assert order(7 + 2**32, 3) != first


def test_an_epoch_visits_every_sample_once_and_keeps_the_short_batch() -> None:
    batches = list(loader(EpochOrder(SIZE, 0)))

    assert [len(batch.labels) for batch in batches] == [20, 20, 20, 20, 20, 3]
    assert len(loader()) == len(batches)
    assert sorted(torch.cat([batch.positions for batch in batches]).tolist()) == list(range(SIZE))


@pytest.mark.parametrize("shuffled", [True, False])
def test_images_labels_and_positions_belong_together(shuffled: bool) -> None:
    for batch in loader(EpochOrder(SIZE, 0) if shuffled else None):
        assert batch.images[:, 0, 0].tolist() == batch.labels.tolist() == batch.positions.tolist()
        assert batch.images.dtype == torch.uint8


def test_without_a_sampler_the_order_is_the_files() -> None:
    assert torch.cat([batch.labels for batch in loader()]).tolist() == list(range(SIZE))


@pytest.mark.parametrize("world_size", [2, 3, 4, 7])
def test_the_shards_of_a_batch_are_the_batch(world_size: int) -> None:
    whole: list[Batch] = list(loader(EpochOrder(SIZE, 5)))
    shards = [list(loader(EpochOrder(SIZE, 5), rank, world_size)) for rank in range(world_size)]

    for number, batch in enumerate(whole):
        parts = [shard[number] for shard in shards]
        sizes = [len(part.labels) for part in parts]
        assert torch.cat([part.labels for part in parts]).equal(batch.labels)
        assert max(sizes) - min(sizes) <= 1
        assert {part.global_size for part in parts} == {len(batch.labels)}


def test_the_epoch_may_be_set_after_iter() -> None:
    sampler = EpochOrder(SIZE, 0)
    iterator = iter(loader(sampler))
    sampler.set_epoch(4)

    assert next(iterator).positions.equal(sampler.positions()[:BATCH])
