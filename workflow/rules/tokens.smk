# Grids become object tokens, one file per set.


rule tokenise_frames:
    input:
        frames="data/frames/{scale}/{split}.npz",
        code=code("tokenise_frames"),
    output:
        tokens="data/tokens/{scale}/{split}.safetensors",
        manifest="data/tokens/{scale}/{split}.safetensors.json",
    log:
        "logs/{scale}/tokenise_frames/{split}.log",
    benchmark:
        "logs/{scale}/benchmarks/tokenise_frames.{split}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        tokens=text(PARAMS.tokens),
        code=code_digest("tokenise_frames"),
    message:
        "Tokenise {wildcards.split}"
    script:
        "../scripts/tokenise_frames.py"


rule tokenise_candidates:
    input:
        candidates="data/frames/{scale}/candidates-{testset}.npz",
        code=code("tokenise_candidates"),
    output:
        tokens="data/tokens/{scale}/candidates-{testset}.safetensors",
        manifest="data/tokens/{scale}/candidates-{testset}.safetensors.json",
    log:
        "logs/{scale}/tokenise_candidates/{testset}.log",
    benchmark:
        "logs/{scale}/benchmarks/tokenise_candidates.{testset}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        tokens=text(PARAMS.tokens),
        code=code_digest("tokenise_candidates"),
    message:
        "Tokenise the candidates of {wildcards.testset}"
    script:
        "../scripts/tokenise_candidates.py"


# Asked for by phases whose loss has hard negatives alone.
rule tokenise_near_misses:
    input:
        frames="data/frames/{scale}/{paired}.npz",
        code=code("tokenise_near_misses"),
    output:
        tokens="data/tokens/{scale}/near-misses-{paired}.safetensors",
        manifest="data/tokens/{scale}/near-misses-{paired}.safetensors.json",
    log:
        "logs/{scale}/tokenise_near_misses/{paired}.log",
    benchmark:
        "logs/{scale}/benchmarks/tokenise_near_misses.{paired}.tsv"
    conda:
        "../envs/arcjepa.yaml"
    params:
        tokens=text(PARAMS.tokens),
        near_misses=PARAMS.data.near_misses,
        code=code_digest("tokenise_near_misses"),
    message:
        "Tokenise near misses of the outputs of {wildcards.paired}"
    script:
        "../scripts/tokenise_near_misses.py"
