import pytest
import torch

from src.data.batches import Batch, BatchLoader, EpochOrder, Split

SIZE, BATCH = 103, 20  # the last batch has 3 samples


FILE = torch.arange(SIZE + 40, dtype=torch.uint8)
MEMBERS = {"in a row": torch.arange(10, SIZE + 10), "scattered": torch.cat([torch.arange(50), torch.arange(90, 143)])}


def loader(
    sampler: EpochOrder | None = None,
    rank: int = 0,
    world_size: int = 1,
    members: torch.Tensor | None = None,
    steps: int = 1,
) -> BatchLoader:
    images = FILE.view(-1, 1, 1).expand(-1, 28, 28).contiguous()
    members = torch.arange(SIZE) if members is None else members
    return BatchLoader(Split(images, FILE, members), BATCH, sampler, rank, world_size, steps)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochOrder(SIZE, seed)
        sampler.set_epoch(epoch)
        return sampler.order().tolist()

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


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("shuffled", [True, False])
def test_images_labels_and_positions_belong_together(shuffled: bool, members: torch.Tensor) -> None:
    seen = []
    for batch in loader(EpochOrder(SIZE, 0) if shuffled else None, members=members):
        assert batch.images[:, 0, 0].tolist() == batch.labels.tolist() == batch.positions.tolist()
        assert (batch.images.dtype, batch.labels.dtype) == (torch.uint8, torch.int64)
        seen += batch.positions.tolist()
    assert sorted(seen) == members.tolist()
    assert (seen == sorted(seen)) is not shuffled


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("shuffled", [True, False])
def test_images_that_lie_on_their_side_stand_upright_in_batches(shuffled: bool, members: torch.Tensor) -> None:
    images = torch.arange(len(FILE) * 4, dtype=torch.int32).view(-1, 2, 2)
    split = Split(images, FILE, members, transposed=True)
    for batch in BatchLoader(split, BATCH, EpochOrder(SIZE, 0) if shuffled else None):
        assert batch.images.equal(images[batch.positions].mT)


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
        assert [part.sizes for part in parts] == [[size] for size in sizes]
        assert {tuple(part.global_sizes) for part in parts} == {(len(batch.labels),)}


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("steps", [2, 4, 6, 100])
def test_an_execution_is_the_batches_one_behind_the_other(steps: int, world_size: int) -> None:
    for rank in range(world_size):
        singles = list(loader(EpochOrder(SIZE, 5), rank, world_size))
        several = loader(EpochOrder(SIZE, 5), rank, world_size, steps=steps)
        executions = list(several)

        assert len(several) == len(executions)
        assert [size for batch in executions for size in batch.sizes] == [len(batch.labels) for batch in singles]
        assert [size for batch in executions for size in batch.global_sizes] == [20, 20, 20, 20, 20, 3]
        for batch in executions[:-1]:
            assert len(batch.sizes) == steps
        for field in ("images", "labels", "positions"):
            one, other = (torch.cat([getattr(batch, field) for batch in each]) for each in (singles, executions))
            assert one.equal(other)


def test_the_epoch_may_be_set_after_iter() -> None:
    sampler = EpochOrder(SIZE, 0)
    iterator = iter(loader(sampler))
    sampler.set_epoch(4)

    assert next(iterator).positions.equal(sampler.order()[:BATCH])


@pytest.mark.parametrize("steps", [1, 4])
def test_a_loader_goes_on_at_the_very_next_batch(steps: int) -> None:
    whole = list(loader(EpochOrder(SIZE, 3), steps=steps))
    interrupted = loader(EpochOrder(SIZE, 3), steps=steps)
    iterator = iter(interrupted)
    next(iterator)
    resumed = loader(EpochOrder(SIZE, 3), steps=steps)
    resumed.load_state_dict(interrupted.state_dict())

    rest = [batch.positions.tolist() for batch in resumed]
    assert rest == [batch.positions.tolist() for batch in whole[1:]]
    assert [batch.positions.tolist() for batch in resumed] == [batch.positions.tolist() for batch in whole]


@pytest.mark.parametrize("steps", [1, 4])
def test_at_the_end_of_an_epoch_the_position_is_the_start_of_the_next(steps: int) -> None:
    finished = loader(EpochOrder(SIZE, 3), steps=steps)
    for number, _ in enumerate(finished, start=1):
        if number == len(finished):
            break  # Lightning counts and does not run into the end
    assert finished.state_dict() == {"batches_done": 0}
