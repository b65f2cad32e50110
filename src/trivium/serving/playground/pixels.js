/** Weights as pixels: one for each, the stronger the more opaque. */

/** Darkness grows with the square root, so that a tenth can be told from nothing.
 * @param {number} weight from 0 to 1 */
export function darkness(weight) {
  return Math.sqrt(Math.min(Math.max(weight, 0), 1));
}

/** Fills `canvas` with one pixel for each weight; CSS makes them larger.
 * @param {HTMLCanvasElement} canvas
 * @param {number[][]} weights rows of numbers from 0 to 1
 * @param {number[]} shade red, green and blue */
export function paint(canvas, weights, [red, green, blue]) {
  const height = weights.length;
  const width = weights[0]?.length ?? 0;
  canvas.width = Math.max(width, 1);
  canvas.height = Math.max(height, 1);
  if (!width || !height) return;
  const image = new ImageData(width, height);
  let at = 0;
  for (const row of weights) {
    for (const weight of row) {
      image.data[at++] = red;
      image.data[at++] = green;
      image.data[at++] = blue;
      image.data[at++] = Math.round(255 * darkness(weight));
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
