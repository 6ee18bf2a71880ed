"""A strict double of TensorRT-LLM 1.2, built from `api_facts.json`: names, types, defaults, and how requests behave.

    with installed_double(tmp_path, script) as double:       # `import tensorrt_llm` finds it, and there is a GPU
        engine = create_engine(double.checkpoint, settings_for_double())
        double.behaviour.before_step = StepGate()            # called before each iteration; may raise or block
        double.fail_next("out of blocks")                    # a RequestError for the next request that runs

What the facts say of the real one holds here: unknown arguments and wrong types fail, an n-gram size that is missing
fails when the `LLM` is made, `abort` only asks, one `RequestOutput` is the same object at each step, statistics are one
stream that ends when nothing comes. Where the facts do not know, the double does what is worst for its caller: a guide
without a backend is ignored.
"""
