"""Codebooks: distortion against scikit-learn, leaks refused, distances and balls by definition, devices alike."""

import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from estimators.codes.codebook import Codebook, choose_fit_images, fit_codebook
from estimators.codes.kmeans import engine_for, greedy_seeds, kmeans, unit_rows
from redundancy.bounds.fano import printed_upper
from redundancy.distances import cosine_distance, pairwise_cosine_distance
from redundancy.errors import InvalidInputError, StoreError


def clustered(n, d=12, centres=20, noise=0.3, seed=0):
    """Rows around some directions, of very different norms."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((centres, d))
    rows = middle[rng.integers(centres, size=n)] + noise * rng.standard_normal((n, d))
    return (rows * rng.lognormal(0, 2, (n, 1))).astype(np.float32)


def spherical_cost(rows, codes):
    unit = unit_rows(rows, "rows")
    return float((1 - (unit @ unit_rows(codes, "codes").T).max(axis=1)).mean())


# ---------------------------------------------------------------- k-means


def test_codes_are_nearest_by_brute_force():
    x = clustered(500)
    book = fit_codebook([x], np.arange(500), n_codes=16, share=0.5)
    fresh = book.is_held_out(np.arange(500))
    codes, distance = book.encode(x[fresh], np.arange(500)[fresh])
    table = cdist(x[fresh].astype(float), book.centres.astype(float), "cosine")
    assert np.array_equal(codes, table.argmin(axis=1))
    assert distance == pytest.approx(table.min(axis=1), abs=1e-5)


def test_distortion_is_close_to_that_of_a_full_kmeans():
    x = unit_rows(clustered(4000, centres=60, noise=0.6), "x")
    book = fit_codebook([x], np.arange(4000), n_codes=40, fit_images=[str(i) for i in range(4000)])
    reference = KMeans(40, n_init=3, random_state=0).fit(x)
    assert spherical_cost(x, book.centres) <= 1.01 * spherical_cost(x, reference.cluster_centers_)


def test_euclidean_distortion_is_close_to_that_of_a_full_kmeans():
    x = unit_rows(clustered(4000, d=6, centres=60, noise=0.6), "x")[:, :4].copy()
    codes, _ = kmeans(lambda i: x[i], 4000, 40, rng=np.random.default_rng(0), engine=engine_for(None), spherical=False)
    cost = (cdist(x, codes) ** 2).min(axis=1).sum()
    assert cost <= 1.05 * KMeans(40, n_init=3, random_state=0).fit(x).inertia_


def test_seeding_is_better_than_chance():
    x = unit_rows(clustered(2000, centres=40, noise=0.2), "x")
    rng = np.random.default_rng(0)
    greedy = np.mean([spherical_cost(x, x[greedy_seeds(x, 30, rng)]) for _ in range(5)])
    chance = np.mean([spherical_cost(x, x[rng.choice(2000, 30, replace=False)]) for _ in range(5)])
    assert greedy < 0.8 * chance


def test_no_code_stays_empty():
    """Twice as many codes as the first sample has distinct directions; rows outside it fill them."""
    x = np.repeat(np.eye(8, dtype=np.float32), 50, axis=0)
    book = fit_codebook([x], np.arange(400), n_codes=8, fit_images=[str(i) for i in range(400)])
    assert np.sort(book.centres.argmax(axis=1)).tolist() == list(range(8))


def test_torch_gives_the_same_codes():
    pytest.importorskip("torch")
    x = clustered(3000)
    books = [fit_codebook([x], np.arange(3000), n_codes=16, device=device) for device in (None, "cpu")]
    assert books[0].centres == pytest.approx(books[1].centres, abs=1e-4)
    rows = x[books[0].is_held_out(np.arange(3000))][:500]
    ids = np.arange(3000)[books[0].is_held_out(np.arange(3000))][:500]
    assert (books[0].encode(rows, ids)[0] == books[0].encode(rows, ids, device="cpu")[0]).mean() > 0.998
    with pytest.raises(InvalidInputError, match="usable torch device"):
        fit_codebook([x], np.arange(3000), n_codes=16, device="cuda:99")


@pytest.mark.gpu
def test_a_gpu_gives_the_same_codes():
    x = clustered(20000, d=64)
    books = [fit_codebook([x], np.arange(20000), n_codes=64, device=device) for device in (None, "cuda")]
    assert spherical_cost(x, books[0].centres) == pytest.approx(spherical_cost(x, books[1].centres), rel=0.01)


def test_scales_do_not_matter_and_half_precision_is_read():
    x = clustered(600)
    ids = np.arange(600)
    first = fit_codebook([x], ids, n_codes=8)
    second = fit_codebook([x * 1e30], ids, n_codes=8)
    assert first.centres == pytest.approx(second.centres, abs=1e-4)
    half = (unit_rows(x, "x") * 40000).astype(np.float16)  # squares overflow in float16 and are near it in sums
    assert np.isfinite(fit_codebook([half], ids, n_codes=8).centres).all()


# ---------------------------------------------------------------- a joint book, other images


def test_one_book_serves_both_layers():
    x = clustered(2000, noise=0.2)
    y = x + 0.02 * np.abs(x).mean() * np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    ids = np.repeat(np.arange(100), 20)
    book = fit_codebook([x, y], ids, n_codes=20)
    fresh = book.is_held_out(ids)
    pair = book.encode_pair(x[fresh], y[fresh], ids[fresh])
    assert (pair.prev == pair.next).mean() > 0.9
    assert pair.n_images == 75
    assert pair.source.startswith(f"codebook {book.sha256[:12]} (spherical k-means of 2 layers")


def test_images_it_was_fitted_on_are_refused():
    x, ids = clustered(200), np.repeat(np.arange(20), 10)
    book = fit_codebook([x], ids, n_codes=4)
    assert len(book.fit_images) == 5
    with pytest.raises(InvalidInputError, match="not fitted on, 50 of 200 rows"):
        book.encode(x, ids)


def test_nothing_of_other_images_is_used():
    """Changing the images that are coded later does not change the book."""
    x, ids = clustered(400), np.repeat(np.arange(40), 10)
    book = fit_codebook([x, -x], ids, n_codes=6)
    other = np.where(book.is_held_out(ids)[:, None], 1000.0, x)
    assert fit_codebook([other, -other], ids, n_codes=6) == book


def test_the_choice_of_images_does_not_depend_on_order():
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 3))
    assert choose_fit_images(ids) == choose_fit_images(np.sort(ids)) != choose_fit_images(ids, random_state=1)
    assert len(choose_fit_images(ids, share=0.999)) == 49  # one is always left


def test_distances_and_balls_by_definition():
    book = fit_codebook([clustered(300)], np.arange(300), n_codes=12)
    reference = pairwise_cosine_distance(book.centres)
    assert book.distances == pytest.approx(reference, abs=1e-6)
    assert (book.distances == book.distances.T).all()
    assert not book.distances.diagonal().any()
    for t in (0.0, 0.3, 1.0, 2.0):
        loops = [sum(float(cosine_distance([a], [b])[0]) <= t + 1e-9 for b in book.centres) for a in book.centres]
        assert book.ball_sizes(t).tolist() == loops
    smallest, largest = int(book.ball_sizes(0.3).min()), int(book.ball_sizes(0.3).max())
    assert printed_upper(tail_prob=0.1, support_size=12, ball_min=smallest, ball_max=largest).quantity


def test_a_book_of_ones_own():
    book = Codebook(np.array([[2.0, 0.0], [0.0, 3.0]]))
    assert book.centres.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert book.encode(np.array([[5.0, 1.0], [1.0, 9.0]]), ["a", "b"])[0].tolist() == [0, 1]


def test_round_trip(tmp_path):
    book = fit_codebook([clustered(300)], [f"image {i}" for i in range(300)], n_codes=12)
    book.save(tmp_path / "book.safetensors")
    back = Codebook.load(tmp_path / "book.safetensors")
    assert back == book
    assert back.note == book.note
    raw = bytearray((tmp_path / "book.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "book.safetensors").write_bytes(raw)
    with pytest.raises(StoreError, match="torn or altered"):
        Codebook.load(tmp_path / "book.safetensors")


def test_memory_mapped_states_are_read_in_place(tmp_path):
    np.save(tmp_path / "x.npy", clustered(500))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert fit_codebook([mapped], np.arange(500), n_codes=8) == fit_codebook(
        [clustered(500)], np.arange(500), n_codes=8
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": [np.zeros((30, 4)), np.zeros((31, 4))]}, "layers of one shape"),
        ({"layers": []}, "layers of one shape"),
        ({"ids": np.zeros(30, dtype=int)}, "image"),
        ({"n_codes": 1}, "n_codes"),
        ({"n_codes": 5000}, "n_codes"),
        ({"n_codes": 30}, "fewer"),
        ({"share": 1.0}, "share"),
        ({"layers": [np.zeros((30, 4))]}, "a zero row has no direction"),
        ({"layers": [np.full((30, 4), np.nan)]}, "NaN or infinity"),
    ],
)
def test_bad_input_is_refused(change, words):
    arguments = {"layers": [clustered(30, d=4)], "ids": np.arange(30), "n_codes": 4}
    with pytest.raises(InvalidInputError, match=words):
        fit_codebook(**{**arguments, **change})


def test_bad_states_are_refused():
    book = fit_codebook([clustered(30, d=4)], np.arange(30), n_codes=4)
    with pytest.raises(InvalidInputError, match=r"shape \(n, 4\)"):
        book.encode(np.ones((3, 5)), [100, 101, 102])
    with pytest.raises(InvalidInputError, match="the first is row 1"):
        book.encode(np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]), [100, 101])
    with pytest.raises(InvalidInputError, match="one image id per row"):
        book.encode(np.ones((3, 4)), [100])


# ---------------------------------------------------------------- product quantisation


def test_metadata_is_plain_json(tmp_path):
    from redundancy.files.tensors import load_tensors

    fit_codebook([clustered(60)], np.arange(60), n_codes=4).save(tmp_path / "b.safetensors")
    meta = load_tensors(tmp_path / "b.safetensors")[1]
    assert len(json.loads(meta["fit_images"])) == 15
