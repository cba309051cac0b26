"""The package that `ostinato run` compiled, under kfp.local with a subprocess a step."""

import os

from kfp import components, dsl, local
from work import HOME, MANIFESTS, MODEL, ROOT, TRACKING_URI, spec

from delivery.stores.sources import snapshot
from training.folder import model_folder

folder = model_folder(ROOT, MODEL)
source = str(folder / spec().data.source)
(compiled,) = (HOME / "packages").glob("*.yaml")
package = HOME / "kfp-package.yaml"
# kfp.local 2.17.0 stops at the placeholder of the resource name.
package.write_text(compiled.read_text().replace(dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER, ""))

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(HOME / "kfp"), raise_on_error=True)
components.load_component_from_file(str(package))(
    data_uri=source,
    data_snapshot=snapshot(source, folder),
    as_of=os.environ["BENCH_AS_OF"],
    tracking_uri=TRACKING_URI,
    manifests_remote=MANIFESTS,
    release=spec().release.mode,
    code_version="unknown",
)
