//! What wasmtime makes of `wit/watchfire.wit`: one module for each world. Interfaces that two
//! worlds share belong to the first of them, so that one type serves both.

pub mod rule {
    wasmtime::component::bindgen!({ path: "wit", world: "rule" });
}

pub mod window_rule {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "window-rule",
        with: {
            "watchfire:plugin/model@0.1.0": super::rule::watchfire::plugin::model,
            "watchfire:plugin/rules@0.1.0": super::rule::watchfire::plugin::rules,
            "watchfire:plugin/host@0.1.0": super::rule::watchfire::plugin::host,
        },
    });
}

pub mod sink {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sink",
        with: {
            "watchfire:plugin/model@0.1.0": super::rule::watchfire::plugin::model,
            "watchfire:plugin/host@0.1.0": super::rule::watchfire::plugin::host,
        },
    });
}

pub mod sample_sink {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sample-sink",
        with: {
            "watchfire:plugin/model@0.1.0": super::rule::watchfire::plugin::model,
            "watchfire:plugin/host@0.1.0": super::rule::watchfire::plugin::host,
            "watchfire:plugin/sending@0.1.0": super::sink::watchfire::plugin::sending,
            "watchfire:plugin/http-client@0.1.0": super::sink::watchfire::plugin::http_client,
        },
    });
}

pub mod probe {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "probe",
        with: {
            "watchfire:plugin/model@0.1.0": super::rule::watchfire::plugin::model,
            "watchfire:plugin/host@0.1.0": super::rule::watchfire::plugin::host,
            "watchfire:plugin/http-client@0.1.0": super::sink::watchfire::plugin::http_client,
        },
    });
}

pub mod source {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "source",
        with: {
            "watchfire:plugin/model@0.1.0": super::rule::watchfire::plugin::model,
            "watchfire:plugin/host@0.1.0": super::rule::watchfire::plugin::host,
        },
    });
}
