"""Other ways to the numbers of a harvest, as a user would write them, and the peers that install here.

Every way is a function of no arguments that runs the model on one batch and ends with distances per layer and
group (and, where it says so, the attention mass of the answer). `dump` follows vlm-lens: a hook on every layer
writes the state of one sample as a blob into SQLite and commits; then the blobs are read back. It is an emulation:
vlm-lens itself has one hand-written class per model and none for a random LLaVA.
"""

from __future__ import annotations

import io
import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from redundancy.statistics.harvest_statistics import default_edges

Way = Callable[[], Any]


class Ways:
    """The alternatives for one model and batch.

    Parameters
    ----------
    model : LlavaForConditionalGeneration
    inputs : dict
        Arguments of the forward pass, without labels.
    """

    def __init__(self, model: Any, inputs: dict[str, Any]) -> None:
        self.model, self.inputs = model, inputs
        self.layers = model.model.language_model.layers
        self.vision = inputs["input_ids"] == model.config.image_token_id
        self.edges = torch.tensor(default_edges(), device=self.vision.device)

    def named(self) -> dict[str, Way]:
        """All ways that need nothing but torch and transformers."""
        return {
            "output_hidden_states, then distances": self.hidden_states,
            "eager attention, output_attentions, then VAR": self.attentions,
            "both: what the harvest gives": self.both,
            "hooks that keep every layer (baukit's way), then distances": self.kept,
            "every layer to SQLite, sample by sample (vlm-lens' way)": self.dump,
            "the same, read back, then distances": self.dump_and_read,
        }

    # ------------------------------------------------------------------ sums after the pass

    def distances(self, states: list[torch.Tensor]) -> list[Any]:
        """Mean distance, norms and histogram of adjacent states on image and other tokens."""
        found = []
        for x, y in itertools.pairwise(states):
            rho = 1 - cosine_similarity(x.float(), y.float(), dim=-1)
            norms = y.float().norm(dim=-1)
            for group in (self.vision, ~self.vision):
                bins = torch.bucketize(rho[group], self.edges)
                found.append((rho[group].mean(), norms[group].mean(), torch.bincount(bins, minlength=len(self.edges))))
        return found

    def masses(self, attentions: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Attention of the last position on image tokens, (L, B, H)."""
        return torch.stack([(a[:, :, -1] * self.vision[:, None]).sum(dim=-1) for a in attentions])

    # ------------------------------------------------------------------ ways

    def plain(self) -> Any:
        """The forward pass alone."""
        with torch.inference_mode():
            return self.model(**self.inputs)

    def hidden_states(self) -> Any:
        """All states of the batch at once; the last is after the final norm, so the last layer is another one's."""
        with torch.inference_mode():
            output = self.model(**self.inputs, output_hidden_states=True)
            return self.distances(list(output.hidden_states))

    @contextmanager
    def _eager(self) -> Iterator[None]:
        decoder = self.model.model.language_model
        before = decoder.config._attn_implementation
        decoder.set_attn_implementation("eager")
        try:
            yield
        finally:
            decoder.set_attn_implementation(before)

    def attentions(self) -> Any:
        """Every attention matrix, for one row of each."""
        with torch.inference_mode(), self._eager():
            return self.masses(self.model(**self.inputs, output_attentions=True).attentions)

    def both(self) -> Any:
        """States and attention matrices in one pass."""
        with torch.inference_mode(), self._eager():
            output = self.model(**self.inputs, output_attentions=True, output_hidden_states=True)
            return self.distances(list(output.hidden_states)), self.masses(output.attentions)

    def kept(self) -> Any:
        """Forward hooks that keep a copy of each layer's output, as baukit's TraceDict with clone does."""
        states: list[torch.Tensor] = []

        def first(module: Any, args: Any, kwargs: Any) -> None:
            states.append((args[0] if args else kwargs["hidden_states"]).detach().clone())

        def keep(module: Any, args: Any, output: Any) -> None:
            states.append((output[0] if isinstance(output, tuple) else output).detach().clone())

        hooks = [self.layers[0].register_forward_pre_hook(first, with_kwargs=True)]
        hooks += [layer.register_forward_hook(keep) for layer in self.layers]
        try:
            with torch.inference_mode():
                self.model(**self.inputs)
                return self.distances(states)
        finally:
            for hook in hooks:
                hook.remove()

    def dump(self, read: bool = False) -> Any:
        """A blob and a commit for every layer, one sample at a time."""
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "states.db")
            connection.execute("CREATE TABLE tensors (sample INTEGER, layer INTEGER, tensor BLOB)")
            sample = 0

            def write(layer: int) -> Callable[..., None]:
                def hook(module: Any, args: Any, output: Any) -> None:
                    state = output[0] if isinstance(output, tuple) else output
                    blob = io.BytesIO()
                    torch.save(state.detach().cpu(), blob)
                    connection.execute("INSERT INTO tensors VALUES (?, ?, ?)", (sample, layer, blob.getvalue()))
                    connection.commit()

                return hook

            hooks = [layer.register_forward_hook(write(i)) for i, layer in enumerate(self.layers)]
            try:
                with torch.inference_mode():
                    for sample in range(len(self.vision)):
                        row = {k: v[sample : sample + 1] if torch.is_tensor(v) else v for k, v in self.inputs.items()}
                        self.model(**row)
                found = self._read(connection) if read else None
            finally:
                for hook in hooks:
                    hook.remove()
                connection.close()
            return found

    def dump_and_read(self) -> Any:
        """Also the distances, for which the blobs are read back."""
        return self.dump(read=True)

    def _read(self, connection: sqlite3.Connection) -> list[Any]:
        found = []
        whole = self.vision
        for sample in range(len(whole)):
            rows = connection.execute("SELECT tensor FROM tensors WHERE sample = ? ORDER BY layer", (sample,))
            states = [torch.load(io.BytesIO(blob)) for (blob,) in rows]
            self.vision = whole[sample : sample + 1].cpu()
            self.edges = self.edges.cpu()
            found.append(self.distances(states))
        self.vision, self.edges = whole, self.edges.to(whole.device)
        return found


def with_nnsight(ways: Ways) -> Way:
    """A trace of nnsight that saves every layer's output, then distances."""
    import nnsight

    wrapped = nnsight.NNsight(ways.model)

    def run() -> Any:
        with torch.inference_mode():
            with wrapped.trace(**ways.inputs):
                saved = nnsight.save([])
                for layer in wrapped.model.language_model.layers:
                    saved.append(layer.output)
            return ways.distances([s[0] if isinstance(s, tuple) else s for s in saved])

    return run


PEERS = {"nnsight": with_nnsight}
NOT_RUN = {
    "TransformerLens": "version 4.3 has a bridge for LLaVA, which calls `pip install torchvision` while it loads; a "
    "benchmark must not change its environment. Its cache keeps every layer's output, as the hooks above do",
}


def peers(ways: Ways) -> tuple[dict[str, Way], dict[str, str]]:
    """Peers that run on this model, and for the others the reason why not."""
    running: dict[str, Way] = {}
    refused = dict(NOT_RUN)
    for name, make in PEERS.items():
        try:
            way = make(ways)
            way()
        except ImportError as error:
            refused[name] = f"not installed ({error})"
        except Exception as error:  # whatever a peer raises is its result here
            refused[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error) else ''}"
        else:
            running[f"{name}, every layer kept, then distances"] = way
    return running, refused
