// Starts the page: loads what the server says, makes the session and gives every panel its part.

import { byId, setText, showText } from "./dom.js";
import { ChannelsPanel } from "./channels-panel.js";
import { Composer } from "./composer.js";
import { ConnectionPanel } from "./connection-panel.js";
import { PresencePanel } from "./presence-panel.js";
import { RatesPanel } from "./rates-panel.js";
import { Session } from "./session.js";
import { Settings } from "./settings.js";
import { StreamPanel } from "./stream-panel.js";
import { TracePanel } from "./trace-panel.js";
import { Welcome } from "./welcome.js";

async function start() {
  if (!globalThis.Centrifuge) throw new Error("The JavaScript SDK did not load from /sdk/centrifuge.js.");
  const settings = await Settings.load();
  const session = new Session(settings);
  const connection = new ConnectionPanel(session, settings);
  new ChannelsPanel(session, settings);
  new RatesPanel(session);
  new StreamPanel(session);
  new Composer(session);
  new PresencePanel(session);
  new TracePanel();
  new Welcome(session, settings, connection);
  session.announced.add((text) => {
    setText(byId("announcer"), text);
  });
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => showText(byId("connect-problem"), `The console could not start: ${error.message}`));
