"""minilm.hub: a folder, a shipped checkpoint, the hub's cache, the hub; in this order, and no more."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from minilm import AutoConfig, AutoModelForCausalLM, AutoTokenizer, hub
from minilm.errors import FileProblem, WrongType
from minilm.hub import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


def as_cached(cache: Path, name: str, folder: Path, commit=COMMIT, ref="main", only=None) -> Path:
    """Lay a folder's files into a cache as huggingface_hub does: blobs, and links that name them."""
    kept = cache / f"models--{name.replace('/', '--')}"
    (kept / "blobs").mkdir(parents=True, exist_ok=True)
    (kept / "refs").mkdir(exist_ok=True)
    snapshot = kept / "snapshots" / commit
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_dir() or (only is not None and path.name not in only):
            continue
        blob = kept / "blobs" / f"{commit[:8]}-{str(relative).replace('/', '-')}"
        shutil.copy(path, blob)
        (snapshot / relative).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / relative).symlink_to(os.path.relpath(blob, (snapshot / relative).parent))
    (kept / "refs" / ref).write_text(commit)
    return snapshot


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The Hugging Face cache of this machine, empty."""
    constants = pytest.importorskip("huggingface_hub.constants")
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(hub, "SHIPPED", folder)
    return folder


def test_a_folder_comes_first(saved, shipped, cache, tmp_path, monkeypatch):
    """Then a shipped checkpoint, then the cache."""
    as_cached(cache, "gpt2", saved("llama"))
    assert AutoConfig.from_pretrained("gpt2").model_type == "llama"
    shutil.copytree(saved("gpt2"), shipped / "gpt2")
    assert AutoConfig.from_pretrained("gpt2").model_type == "gpt2"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved("qwen3"), "gpt2")
    assert AutoConfig.from_pretrained("gpt2").model_type == "qwen3"


def test_a_shipped_checkpoint_is_found_by_its_name(saved, shipped, make_theirs, ids):
    shutil.copytree(saved("gpt2"), shipped / "story-gpt2")
    (shipped / "unfinished").mkdir()
    assert hub.shipped_names() == ["story-gpt2"]
    model = AutoModelForCausalLM.from_pretrained("story-gpt2")
    assert torch.allclose(model(ids).logits, make_theirs("gpt2")(ids).logits, rtol=0, atol=1e-5)
    assert model.config.name_or_path == "story-gpt2"
    with pytest.raises(FileProblem, match=r"There is no folder 'story-gtp2'.*come story-gpt2"):
        AutoModelForCausalLM.from_pretrained("story-gtp2")


def test_without_a_folder_of_checkpoints_none_is_shipped(shipped):
    assert hub.shipped_names() == []


@pytest.mark.parametrize("name", ["owner/model", "model"])
@pytest.mark.parametrize("size", ["1GB", "20KB"])
def test_a_cached_model_is_found_by_its_name(name, size, saved, cache, ids, tmp_path):
    expected = AutoModelForCausalLM.from_pretrained(saved("gpt2"))
    expected.save_pretrained(tmp_path / "model", max_shard_size=size)
    as_cached(cache, name, tmp_path / "model")
    assert torch.equal(AutoModelForCausalLM.from_pretrained(name)(ids).logits, expected(ids).logits)


def test_the_cache_that_is_given_is_the_one(saved, cache, tmp_path):
    as_cached(tmp_path / "mine", "owner/model", saved("gpt2"))
    with pytest.raises(FileProblem, match="There is no folder 'owner/model'"):
        AutoConfig.from_pretrained("owner/model")
    assert AutoConfig.from_pretrained("owner/model", cache_dir=tmp_path / "mine").n_embd == 24
    assert AutoConfig.from_pretrained("owner/model", cache_dir=str(tmp_path / "mine")).n_embd == 24


def test_a_revision_is_a_branch_a_tag_or_a_commit(saved, cache):
    as_cached(cache, "owner/model", saved("gpt2"))
    as_cached(cache, "owner/model", saved("llama"), commit=OTHER, ref="v2")
    for revision, family in (
        (None, "gpt2"),
        ("main", "gpt2"),
        (COMMIT, "gpt2"),
        ("v2", "llama"),
        (OTHER, "llama"),
    ):
        config = AutoConfig.from_pretrained("owner/model", revision=revision)
        assert config.model_type == family
        assert AutoModelForCausalLM.from_pretrained("owner/model", revision=revision)
    for revision in ("v3", "0" * 40):
        with pytest.raises(
            FileProblem, match=f"holds that model, but not its revision '{revision}'.*{COMMIT}"
        ):
            AutoConfig.from_pretrained("owner/model", revision=revision)
    (cache / "models--owner--model" / "refs" / "main").unlink()
    with pytest.raises(FileProblem, match=f"but not its main branch: .*holds {COMMIT}, {OTHER};"):
        AutoConfig.from_pretrained("owner/model")


def test_a_link_that_leads_nowhere_is_no_file(saved, cache):
    """As of a cache that was tidied by hand."""
    as_cached(cache, "owner/model", saved("gpt2"))
    snapshot = cache / "models--owner--model" / "snapshots" / COMMIT
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to("../../blobs/gone")
    names = Source("owner/model").names()
    assert "config.json" in names
    assert "model.safetensors" not in names
    with pytest.raises(FileProblem, match="no weights in the hub's 'owner/model'"):
        AutoModelForCausalLM.from_pretrained("owner/model")


def test_a_subfolder_is_looked_into(saved, cache, tmp_path):
    place = tmp_path / "place"
    shutil.copytree(saved("gpt2"), place / "inner" / "most")
    shutil.copytree(saved("llama"), place, dirs_exist_ok=True)
    as_cached(cache, "owner/model", place)
    for name in (place, "owner/model"):
        assert AutoConfig.from_pretrained(name).model_type == "llama"
        config = AutoConfig.from_pretrained(name, subfolder="inner/most")
        assert config.model_type == "gpt2"
        model = AutoModelForCausalLM.from_pretrained(name, subfolder="inner/most")
        assert model.config.model_type == "gpt2"


def test_a_file_that_a_cached_model_lacks_is_none(saved, cache):
    as_cached(cache, "owner/model", saved("gpt2"), only=["config.json"])
    source = Source("owner/model")
    assert source.file("model.safetensors") is None
    assert source.file("config.json").is_file()
    assert source.names() == ["config.json"]
    with pytest.raises(
        FileProblem,
        match=r"no weights in the hub's 'owner/model'.*cache of this machine holds config\.json; the hub is not asked",
    ):
        AutoModelForCausalLM.from_pretrained("owner/model")


def test_a_file_that_the_hub_is_known_to_lack_is_none(saved, cache):
    as_cached(cache, "owner/model", saved("gpt2"))
    (cache / "models--owner--model" / ".no_exist" / COMMIT).mkdir(parents=True)
    (cache / "models--owner--model" / ".no_exist" / COMMIT / "model.safetensors.index.json").touch()
    assert Source("owner/model").file("model.safetensors.index.json") is None


def test_a_tokenizer_is_found_like_its_model(saved, cache, shipped, tmp_path):
    """Also where the cache has the tokenizer's files alone, or not all of them."""
    tokenizers = pytest.importorskip("tokenizers")
    letters = {letter: i for i, letter in enumerate("abcdefgh ")}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(letters, []))
    folder = tmp_path / "tokenizer"
    (folder / "additional_chat_templates").mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "additional_chat_templates" / "rag.jinja").write_text("{{ messages }}")
    as_cached(cache, "owner/whole", folder)
    as_cached(cache, "owner/part", folder, only=["tokenizer.json"])
    shutil.copytree(folder, shipped / "story")
    shutil.copy(saved("gpt2") / "config.json", shipped / "story")
    shutil.copytree(folder, tmp_path / "place" / "inner")
    expected = AutoTokenizer.from_pretrained(folder)
    assert expected("abba").input_ids == [0, 1, 1, 0]
    for name, options in (
        ("owner/whole", {}),
        ("owner/whole", {"revision": COMMIT}),
        ("owner/part", {}),
        ("story", {}),
        (tmp_path / "place", {"subfolder": "inner"}),
    ):
        found = AutoTokenizer.from_pretrained(name, **options)
        assert found("abba") == expected("abba")
        is_whole = name != "owner/part"
        assert found.padding_side == ("left" if is_whole else "right")
        assert (found.chat_template == {"rag": "{{ messages }}"}) == is_whole
        assert found.name_or_path == str(name)
    with pytest.raises(FileProblem, match="There is no folder 'owner/none'"):
        AutoTokenizer.from_pretrained("owner/none")
    as_cached(cache, "owner/other", saved("gpt2"), only=["config.json"])
    with pytest.raises(FileProblem, match=r"hub's 'owner/other' holds no tokenizer.*config\.json"):
        AutoTokenizer.from_pretrained("owner/other")


def test_what_is_no_name_is_refused():
    for name in (None, 3, "", [], b"x"):
        with pytest.raises(WrongType, match="a string or a path"):
            Source(name)
    for name in ("a/b/c", "/no/where", "../up", "C:\\x", "~/x"):
        with pytest.raises(FileProblem, match="cannot be the name of a model"):
            Source(name)
    with pytest.raises(FileProblem, match="it cannot be a name on the hub"):
        Source("two words").file("config.json")


def test_only_plain_names_are_files(saved):
    source = Source(saved())
    for name in ("../x", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "C:x", "x\0"):
        with pytest.raises(FileProblem, match="leads out"):
            source.file(name)
    for name in ("model.safetensors.index.json", "a b", "…", "..x", "x..", "tokenizer.model"):
        assert source.file(name) is None


def test_a_name_that_no_disk_takes_is_no_file(saved):
    for name in ("a" * 5000, "\ud800"):
        assert Source(saved()).file(name) is None


# -- a hub that answers, and one that does not ---------------------------------------------------


def in_a_fresh_process(script, cache, endpoint, **environment):
    """Run a script as where there is a network, whose hub is at an address of this machine."""
    settings = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint}
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        settings.pop(name, None)
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        settings.pop(name, None)
    settings |= {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=settings,
    )


@pytest.fixture
def closed():
    """The address of a hub that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


REFUSED = """
import sys, time
from minilm import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from minilm.errors import FileProblem
start = time.monotonic()
for load in (AutoConfig, AutoModelForCausalLM, AutoTokenizer):
    try:
        load.from_pretrained("owner/unknown")
    except FileProblem as error:
        print(type(error).__name__, error)
model = AutoModelForCausalLM.from_pretrained("owner/known")
print(type(model).__name__, model.config.n_embd)
try:
    AutoModelForCausalLM.from_pretrained("owner/part")
except FileProblem as error:
    print(error)
try:
    AutoConfig.from_pretrained("owner/known", force_download=True)
except FileProblem as error:
    print(error)
"""


@pytest.mark.parametrize("mode", ["refused", "offline"])
def test_without_a_connection_the_cache_is_what_there_is(mode, saved, tmp_path, closed):
    as_cached(tmp_path, "owner/known", saved("gpt2"))
    as_cached(tmp_path, "owner/part", saved("gpt2"), only=["config.json"])
    environment = {"HF_HUB_OFFLINE": "1"} if mode == "offline" else {}
    done = in_a_fresh_process(REFUSED, tmp_path, closed, **environment)
    assert done.returncode == 0, done.stderr
    *unknown, known, part, forced = done.stdout.splitlines()
    why = {
        "refused": "no connection to the hub could be made",
        "offline": "the hub is not asked (offline, or local_files_only)",
    }[mode]
    for line in unknown:
        assert line.startswith("FileProblem There is no folder 'owner/unknown'")
        assert why in line
    assert len(unknown) == 3
    assert known == "GPT2LMHeadModel 24"
    assert "There are no weights in the hub's 'owner/part'" in part
    assert f"The cache of this machine holds config.json; {why}" in part
    assert "config.json of the hub's 'owner/known' could not be fetched" in forced


def test_a_hub_that_hangs_up_is_not_asked_again_and_again(tmp_path):
    """huggingface_hub would ask six times for each file, with pauses that double."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                asked.append(connection)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        script = """
from minilm import AutoModelForCausalLM
from minilm.errors import FileProblem
try:
    AutoModelForCausalLM.from_pretrained("owner/model")
except FileProblem as error:
    print(error)
"""
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = in_a_fresh_process(script, tmp_path, endpoint)
    assert "no connection to the hub could be made" in done.stdout, done.stderr
    assert 1 <= len(asked) <= 3


class Hub(BaseHTTPRequestHandler):
    """Just enough of a hub: files of models by revision, and a list of what was asked for."""

    models: dict[str, Path]
    commits: dict[str, str]
    asked: list[str]

    def log_message(self, *arguments):
        pass

    def answer(self, body):
        name, _, rest = self.path.strip("/").partition("/resolve/")
        self.asked.append(f"{self.command} {self.path}")
        revision, _, file = rest.partition("/")
        token = self.headers.get("authorization", "")
        if name == "owner/private" and token != "Bearer hf_right":
            self.send_response(401)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        commit = self.commits.get(revision, revision)
        if name not in self.models:
            error, content = "RepoNotFound", None
        elif commit not in self.models[name]:
            error, content = "RevisionNotFound", None
        else:
            path = self.models[name][commit] / file
            error, content = "EntryNotFound", path.read_bytes() if path.is_file() else None
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", error)
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{commit[:6]}-{file.replace("/", "-")}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)


@pytest.fixture
def open_hub(saved):
    """A hub on this machine: its address, and what it was asked for."""
    models = {
        "owner/model": {COMMIT: saved("gpt2"), OTHER: saved("llama")},
        "owner/private": {COMMIT: saved("gpt2")},
    }
    commits = {"main": COMMIT, "v2": OTHER}
    handler = type("Here", (Hub,), {"models": models, "commits": commits, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    server.shutdown()
    server.server_close()


FETCHED = """
from minilm import AutoModelForCausalLM
from minilm.errors import FileProblem
print(type(AutoModelForCausalLM.from_pretrained("owner/model")).__name__)
print(type(AutoModelForCausalLM.from_pretrained("owner/model", revision="v2")).__name__)
for name, options in (
    ("owner/none", {}),
    ("owner/model", {"revision": "v3"}),
    ("owner/private", {"token": "hf_wrong"}),
    ("owner/model", {"subfolder": "nowhere"}),
    ("owner/model", {"local_files_only": True, "revision": "v4"}),
):
    try:
        AutoModelForCausalLM.from_pretrained(name, **options)
    except FileProblem as error:
        print(error)
print(type(AutoModelForCausalLM.from_pretrained("owner/private", token="hf_right")).__name__)
"""


def test_from_the_hub_come_the_files_that_are_needed(open_hub, tmp_path, ids):
    endpoint, asked = open_hub
    done = in_a_fresh_process(FETCHED, tmp_path, endpoint, HF_HUB_DISABLE_XET="1")
    assert done.returncode == 0, done.stderr
    first, second, *errors, private = done.stdout.splitlines()
    assert (first, second, private) == ("GPT2LMHeadModel", "LlamaForCausalLM", "GPT2LMHeadModel")
    assert len(errors) == 5, done.stdout
    unknown, revision, refused, subfolder, local = errors
    assert "the hub has no model of that name" in unknown
    assert "'owner/model' has no revision 'v3'" in revision
    assert "no model of that name (or not for you)" in refused
    assert "config.json is missing in the hub's 'owner/model', nowhere" in subfolder
    assert "the hub is not asked" in local
    fetched = [
        line.split("/")[-1] for line in asked if line.startswith("GET /owner/model/resolve/")
    ]
    names = ("config.json", "generation_config.json", "model.safetensors")
    assert sorted(fetched) == [name for name in names for _ in range(2)]
    # The weights are those of the commit that the config came from, whatever "main" is by then.
    weights = [line for line in asked if line.startswith("HEAD") and "model.safetensors" in line]
    assert weights
    assert all(COMMIT in line or OTHER in line for line in weights)
