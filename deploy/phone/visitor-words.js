// Everything a visitor's pass says.
export const WORDS = {
  "zh-CN": {
    title: "访客通行码",
    language: "English",
    noPass: "这个链接里没有通行码。请向住户或管理员要完整的链接。",
    hold: "把屏幕对着门口摄像头，离一只手掌远。",
    when: (from, until) => `有效：${from} 至 ${until}`,
    uses: (count) => (count ? `每扇门可用 ${count} 次。` : "有效期内不限次数。"),
    eachDoor: "出示一次算一次：门开了就把屏幕拿开，下一位客人等 5 秒再出示。次数按每扇门分别计算。作废的通行码，断网的门要等恢复联网后才知道。",
    first: "谁先出示，谁先用掉：不要转发，不要发朋友圈。",
    keep: "没有网络也能用：先打开本页，或者保存截图。",
    picture: "访客通行码二维码",
  },
  en: {
    title: "Visitor pass",
    language: "中文",
    noPass: "There is no pass in this link. Ask your host or the manager for the whole link.",
    hold: "Hold the screen up to the camera at the door, about a hand away.",
    when: (from, until) => `Valid: ${from} to ${until}`,
    uses: (count) => (count ? `Good for ${count} ${count === 1 ? "opening" : "openings"} at each door.` : "No limit of openings while it is valid."),
    eachDoor: "Showing it once is one use: take the screen away when the door has opened, and let the next guest wait 5 seconds. Each door counts by itself. A door without network learns that a pass was revoked once it is connected again.",
    first: "Whoever shows it first uses it up: do not forward or publish it.",
    keep: "Works without network: open this page beforehand, or keep a screenshot.",
    picture: "QR code of the visitor pass",
  },
};
