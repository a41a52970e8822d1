// Node-RED beside the community server: no editor, one flow, one library. `npm install node-red pg` in this folder.
const postgres = require("pg");

module.exports = {
    flowFile: "flows.json",
    credentialSecret: false, // nothing secret is stored: certificates are files, the database is named by DOOR_POSTGRES
    httpAdminRoot: false,
    httpNodeRoot: false,
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.DOOR_NODE_RED_PORT || 1880),
    telemetry: { enabled: false, updateNotification: false },
    functionGlobalContext: { pool: new postgres.Pool({ connectionString: process.env.DOOR_POSTGRES, max: 4 }) },
    logging: { console: { level: "warn" } },
};
