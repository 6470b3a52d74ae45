// The visitor's webcam.

const NONE = "The webcam needs a page on https or on this machine.";
const REFUSED =
  "The webcam cannot be used: allow it in the browser's address bar, and close other programs that use it.";

/**
 * Start the webcam in a video element. Errors have messages for visitors.
 *
 * @param isWanted () → whether the webcam is still wanted once the visitor has allowed it.
 * @returns whether it runs.
 */
export async function startWebcam(video, isWanted, width = 640) {
  if (!navigator.mediaDevices) throw new Error(NONE);
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: width }, facingMode: "user" },
    });
    if (!isWanted()) {
      stopStream(stream);
      return false;
    }
    video.srcObject = stream;
    await video.play();
  } catch {
    if (!isWanted()) return false;
    stopWebcam(video);
    throw new Error(REFUSED);
  }
  return isWanted();
}

export function stopWebcam(video) {
  if (video.srcObject) stopStream(video.srcObject);
  video.srcObject = null;
}

function stopStream(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** The picture that the webcam shows now, as a file. It is not mirrored. */
export async function takePhoto(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "webcam.png", { type: "image/png" });
}
