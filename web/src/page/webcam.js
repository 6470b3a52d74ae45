// The visitor's webcam.

const REFUSED = "The webcam cannot be used: allow it in the browser's address bar, and close other programs that use it.";

/** Start the webcam in a video element. Errors have messages for visitors. */
export async function startWebcam(video, width = 640) {
  if (!navigator.mediaDevices) throw new Error("This browser gives pages no webcam here.");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: width }, facingMode: "user" } });
    await video.play();
  } catch {
    stopWebcam(video);
    throw new Error(REFUSED);
  }
}

export function stopWebcam(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

/** The picture that the webcam shows now, as a file. It is not mirrored. */
export async function takePhoto(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "webcam.png", { type: "image/png" });
}
