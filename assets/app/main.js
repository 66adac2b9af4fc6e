// Entry: each panel's script calls `panel`, the component that talks to the server calls `desk`.

import {prepare} from "./ahead.js";
import * as claims from "./claims.js";
import * as contacts from "./contacts.js";
import * as decide from "./decide.js";
import * as decisions from "./decisions.js";
import * as fan from "./fan.js";
import * as fit from "./fit.js";
import * as header from "./header.js";
import * as keys from "./keys.js";
import * as meshes from "./meshes.js";
import * as photo from "./photo.js";
import * as queue from "./queue.js";
import {connect, subscribe} from "./state.js";
import * as tour from "./tour.js";

const PANELS = {
  photo: photo.mount, meshes: meshes.mount,
  contacts: contacts.mount, fan: fan.mount, fit: fit.mount, decide: decide.mount,
};

export function panel(name, element) {
  subscribe(PANELS[name](element.firstElementChild));
}

export function desk(element) {
  header.theme.start();
  subscribe(header.mount(element.querySelector(".apu-header")));
  subscribe(queue.mount(element.querySelector(".apu-queue")));
  decisions.mount(element.querySelector(".apu-decisions"));
  keys.mount(element.querySelector(".apu-keys"));
  keys.listen();
  tour.mount(element.querySelector(".apu-tour"));
  subscribe(prepare);
  subscribe(claims.follow);
  subscribe(keys.hideForbidden);
  connect();
  fit.follow();
}
