"""BibTeX of the methods that a study used, for the paper it ends up in."""

from collections.abc import Iterator, Mapping
from typing import Any

from ictsweep.report.view import StudyView

_ENTRIES = {
    "consistency": """@inproceedings{song2023consistency,
  title = {Consistency Models},
  author = {Song, Yang and Dhariwal, Prafulla and Chen, Mark and Sutskever, Ilya},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
  note = {arXiv:2303.01469},
}""",
    "ict": """@inproceedings{song2024improved,
  title = {Improved Techniques for Training Consistency Models},
  author = {Song, Yang and Dhariwal, Prafulla},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2310.14189},
}""",
    "ect": """@inproceedings{geng2025consistency,
  title = {Consistency Models Made Easy},
  author = {Geng, Zhengyang and Pokle, Ashwini and Luo, William and Lin, Justin and
            Kolter, J. Zico},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
  note = {arXiv:2406.14548},
}""",
    "sct": """@article{wang2024stable,
  title = {Stable Consistency Tuning: Understanding and Improving Consistency Models},
  author = {Wang, Fu-Yun and Geng, Zhengyang and Li, Hongsheng},
  journal = {arXiv preprint arXiv:2410.18958},
  year = {2024},
}""",
    "gaf": """@article{issenhuth2024improving,
  title = {Improving Consistency Models with Generator-Augmented Flows},
  author = {Issenhuth, Thibaut and Lee, Sangchul and Dos Santos, Ludovic and
            Franceschi, Jean-Yves and Kim, Chansoo and Rakotomamonjy, Alain},
  journal = {arXiv preprint arXiv:2406.09570},
  year = {2024},
}""",
    "edm": """@inproceedings{karras2022elucidating,
  title = {Elucidating the Design Space of Diffusion-Based Generative Models},
  author = {Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  note = {arXiv:2206.00364},
}""",
    "asha": """@inproceedings{li2020system,
  title = {A System for Massively Parallel Hyperparameter Tuning},
  author = {Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and
            Ben-tzur, Jonathan and Hardt, Moritz and Recht, Benjamin and Talwalkar, Ameet},
  booktitle = {Conference on Machine Learning and Systems},
  year = {2020},
  note = {arXiv:1810.05934},
}""",
    "tpe": """@inproceedings{bergstra2011algorithms,
  title = {Algorithms for Hyper-Parameter Optimization},
  author = {Bergstra, James and Bardenet, R{\\'e}mi and Bengio, Yoshua and K{\\'e}gl, Bal{\\'a}zs},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2011},
}""",
    "optuna": """@inproceedings{akiba2019optuna,
  title = {Optuna: A Next-Generation Hyperparameter Optimization Framework},
  author = {Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and
            Koyama, Masanori},
  booktitle = {ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year = {2019},
  note = {arXiv:1907.10902},
}""",
    "pedanova": """@inproceedings{watanabe2023ped,
  title = {{PED-ANOVA}: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces},
  author = {Watanabe, Shuhei and Bansal, Archit and Hutter, Frank},
  booktitle = {International Joint Conference on Artificial Intelligence},
  year = {2023},
  note = {arXiv:2304.10255},
}""",
    "fid": """@inproceedings{heusel2017gans,
  title = {{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium},
  author = {Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
            Hochreiter, Sepp},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017},
  note = {arXiv:1706.08500},
}""",
    "kid": """@inproceedings{binkowski2018demystifying,
  title = {Demystifying {MMD} {GANs}},
  author = {Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and
            Gretton, Arthur},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  note = {arXiv:1801.01401},
}""",
    "recall": """@inproceedings{kynkaanniemi2019improved,
  title = {Improved Precision and Recall Metric for Assessing Generative Models},
  author = {Kynk{\\"a}{\\"a}nniemi, Tuomas and Karras, Tero and Laine, Samuli and
            Lehtinen, Jaakko and Aila, Timo},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019},
  note = {arXiv:1904.06991},
}""",
}

_METHODS = {
    "ict": ("ict",), "ict_deep": ("ict",), "ect": ("ect", "edm"), "sct": ("sct", "ect", "edm"),
    "gaf": ("gaf", "ict"),
}  # fmt: skip
_METRICS = {"fid": "fid", "fd": "fid", "kid": "kid", "kd": "kid"}


def bibtex(view: StudyView) -> str:
    """The entries of everything the study's numbers rest on, in order of use."""
    return "\n\n".join(_ENTRIES[key] for key in dict.fromkeys(_used(view)))


def _used(view: StudyView) -> Iterator[str]:
    yield "consistency"
    for preset in _presets(view):
        yield from _METHODS.get(preset, ())
    yield "asha"
    yield "optuna"
    if view.spec.sampler.name == "tpe":
        yield "tpe"
    yield "pedanova"
    names = {view.spec.minimize, *(key for t in view.trials for key in t.others)}
    for name in sorted(names):
        first = name.partition("_")[0]
        if first in _METRICS:
            yield _METRICS[first]
        if first in ("precision", "recall"):
            yield "recall"


def _presets(view: StudyView) -> Iterator[str]:
    """The named methods of trial 0 and of the choices searched."""
    method: Mapping[str, Any] = view.spec.trial.get("method") or {}
    yield str(method.get("preset", ""))
    for axis in view.spec.search:
        if axis.path == "method.preset":
            yield from map(str, axis.choices or ())
