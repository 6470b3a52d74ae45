// The expression map.

import * as mapView from "../views/map.js";
import * as pickableMapView from "../views/map_pickable.js";
import { make, startView } from "./dom.js";

/** Make a map. `pickable`: a visitor can choose a place. */
export function makeMap(pickable, onEvent) {
  const element = make("div");
  const show = startView(pickable ? pickableMapView : mapView, element, { pickable }, onEvent);
  const clipped = ({ photos, marks = [], chosen }) =>
    show({ photos, marks: marks.map((mark) => ({ ...mark, point: clip(mark.point, photos.range) })), chosen });
  return { element, show: clipped };
}

/** The nearest point that the map shows. */
const clip = ([x, y], [left, bottom, right, top]) => [
  Math.min(Math.max(x, left), right),
  Math.min(Math.max(y, bottom), top),
];
