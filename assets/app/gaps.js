// The shortest way between two sets of points.

/**
 * The nearest two of `ids[0]` among the points `places[0]` and `ids[1]` among `places[1]` (x, y, z one after another):
 * `{distance, ends: [[x, y, z], [x, y, z]]}`, null where a set is empty. The second set is sorted along its widest axis,
 * so that only points nearer in that axis than the best so far are looked at.
 */
export function nearest(places, ids) {
  if (!ids[0].length || !ids[1].length) return null;
  const [a, b] = places;
  const axis = widest(b, ids[1]);
  const sorted = [...ids[1]].sort((i, j) => b[3 * i + axis] - b[3 * j + axis]);
  const along = Float64Array.from(sorted, (id) => b[3 * id + axis]);
  let best = Infinity;
  let ends = null;
  for (const i of ids[0]) {
    const [x, y, z] = [a[3 * i], a[3 * i + 1], a[3 * i + 2]];
    const at = a[3 * i + axis];
    const start = lowerBound(along, at);
    const look = (place) => {
      const j = sorted[place];
      const square = (b[3 * j] - x) ** 2 + (b[3 * j + 1] - y) ** 2 + (b[3 * j + 2] - z) ** 2;
      if (square < best) [best, ends] = [square, [i, j]];
    };
    for (let place = start; place < along.length && (along[place] - at) ** 2 < best; place++) look(place);
    for (let place = start - 1; place >= 0 && (along[place] - at) ** 2 < best; place--) look(place);
  }
  return {distance: Math.sqrt(best), ends: ends.map((id, person) => [...places[person].subarray(3 * id, 3 * id + 3)])};
}

function widest(points, ids) {
  const spans = [0, 1, 2].map((axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (const id of ids) [low, high] = [Math.min(low, points[3 * id + axis]), Math.max(high, points[3 * id + axis])];
    return high - low;
  });
  return spans.indexOf(Math.max(...spans));
}

function lowerBound(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
