"""A method's loss of a batch, as the networks of a run compute it."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from ictsweep.consistency import Batch, Method, consistency_loss
from ictsweep.training.precision import Precision


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """`student` learns from `teacher` (the student itself, or an average of it); `generator` makes
    the endpoints of methods that want them. All are denoisers.
    """

    method: Method
    student: nn.Module
    teacher: nn.Module
    generator: nn.Module | None
    precision: Precision

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each image, float32 [n]."""
        cast = self.precision.cast
        generator = None if self.generator is None else cast(self.generator)
        return consistency_loss(
            cast(self.student), cast(self.teacher), generator, self.method, batch
        )

    def of(self, student: nn.Module) -> "Objective":
        """The same with another student, such as the module inside a distributed one."""
        return replace(self, student=student)
