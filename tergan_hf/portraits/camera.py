"""A perspective camera in front of a face."""

from dataclasses import dataclass, replace

import numpy as np


DISTANCE = 120.0  # cm from the camera to the middle of the face


@dataclass(frozen=True)
class Camera:
    """
    Rotation, position and scale of a perspective camera.

    Args:
        rotation: (3, 3), from the model (x to the subject's left, y up, z forward, cm) to the camera's axes.
        shift: x, y of the middle of the face in pixels.
        scale: pixels per cm at the middle of the face.
    """

    rotation: np.ndarray
    shift: tuple[float, float]
    scale: float

    @property
    def orientation(self) -> np.ndarray:
        """(3, 3) rotation from the model to the camera's axes, including a turn of the head."""
        return self.rotation

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project (V, 3) points in cm about the face's middle to (V, 3) float32: x, y in pixels and depth in cm."""
        turned = points @ self.rotation.T
        scale = self.scale * DISTANCE / (DISTANCE - turned[:, 2])
        return np.stack(
            [self.shift[0] + scale * turned[:, 0], self.shift[1] - scale * turned[:, 1], turned[:, 2]], 1
        ).astype(np.float32)

    def differentiate(self, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Derivative (2V, D) of the projected (V, 3) points along (D, V, 3) directions; rows alternate x and y."""
        turned, moved = points @ self.rotation.T, directions @ self.rotation.T
        scale = self.scale * DISTANCE / (DISTANCE - turned[:, 2])
        flat = moved[..., :2] * scale[:, None]
        flat = flat + turned[:, :2] * (scale / (DISTANCE - turned[:, 2]))[:, None] * moved[..., 2:]
        flat[..., 1] *= -1
        return flat.reshape(len(directions), -1).T

    def moved(self, step: np.ndarray) -> "Camera":
        """The camera after a step (6,) in the parameters of `pose_jacobian`."""
        return Camera(
            rotation_matrix(step[:3]) @ self.rotation,
            (self.shift[0] + step[3], self.shift[1] + step[4]),
            self.scale * float(np.exp(step[5])),
        )

    def pose_jacobian(self, points: np.ndarray) -> np.ndarray:
        """Derivative (2V, 6) of the projected points by a further rotation (3), the shift (2) and the log scale."""
        turned = points @ self.rotation.T
        unturned = replace(self, rotation=np.eye(3))
        spins = np.stack([np.cross(axis, turned) for axis in np.eye(3)])
        columns = [unturned.differentiate(turned, spins)]
        ones = np.zeros((len(points), 2, 2))
        ones[:, 0, 0] = ones[:, 1, 1] = 1
        columns.append(ones.reshape(-1, 2))
        flat = unturned.project(turned)[:, :2] - np.asarray(self.shift)
        columns.append(flat.reshape(-1, 1))
        return np.hstack(columns)

    def turned(self, yaw: float, pitch: float, pivot: np.ndarray) -> "TurnedCamera":
        """The camera for a head turned about `pivot` (3,), in degrees to the viewer's right and up."""
        turn = rotation_matrix(np.radians([-pitch, yaw, 0.0]))
        return TurnedCamera(self.rotation, self.shift, self.scale, turn, self.rotation @ pivot)


@dataclass(frozen=True)
class TurnedCamera(Camera):
    """
    A camera in front of a head that is turned relative to the photo.

    Args:
        turn: (3, 3) rotation of the head. pivot: (3,) its centre. Both are in the camera's axes.
    """

    turn: np.ndarray
    pivot: np.ndarray

    @property
    def orientation(self) -> np.ndarray:
        return self.turn @ self.rotation

    def project(self, points: np.ndarray) -> np.ndarray:
        turned = (points @ self.rotation.T - self.pivot) @ self.turn.T + self.pivot
        return Camera(np.eye(3), self.shift, self.scale).project(turned)


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """(3,) rotation vector in radians → (3, 3) (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = np.asarray(vector, float) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
