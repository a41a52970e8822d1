// Every word of the demo's own page, [zh-CN, en].
"use strict";

const WORDS = {
  title: ["door-agent 演示", "door-agent, acted out"],
  what: ["一扇模拟的门、它的控制台和小区的服务器，都在这台电脑上运行。按一个按钮，看会发生什么。",
    "One simulated door, its console and the community's server, all on this machine. Press a button and watch."],
  scenes: ["演示按钮", "What to act"], console: ["门上的控制台", "At the door"], server: ["管理员看到的", "What the manager sees"],
  alone: ["单独打开", "open alone"], other: ["English", "中文"], other_: ["其他", "Other"],
  people: ["走到门前", "Somebody walks up"], door: ["在门上", "At the door"], house: ["楼里和线路", "Building and line"], faults: ["拔掉插头", "Pull the plug on"],
  resident: ["住户", "Resident"], stranger: ["陌生人", "Stranger"], print: ["举着住户照片的人", "Print of the resident"],
  two_people: ["两个人", "Two people"], phone_pass: ["手机通行码", "Phone pass"], remote_open: ["管理员远程开门", "Open from afar"],
  exit_button: ["按出门按钮", "Exit button"], door_open: ["推开门", "Open the leaf"], door_close: ["关上门", "Close the leaf"],
  tamper_on: ["拆设备外壳", "Open the case"], tamper_off: ["盖好外壳", "Close the case"],
  fire_on: ["消防报警", "Fire alarm"], fire_off: ["解除报警", "Alarm over"], uplink_cut: ["拔网线", "Cut the line"], uplink_restore: ["接回网线", "Restore the line"],
  kill_vision: ["识别程序", "Recognition"], kill_agent: ["门禁程序", "Agent"], kill_guard: ["硬件程序", "Lock guard"],
  kill_server: ["服务器", "Server"], kill_broker: ["消息中转", "Broker"], lock_down: ["封锁", "Lock down"], release_lock_down: ["解除封锁", "End lock-down"],
  visitor_pass: ["访客通行码", "Visitor pass"], phone_duress: ["被胁迫出示手机", "Phone, under duress"], phone_again: ["再出示同一个码", "The same code again"],
  hold_open: ["保持开锁", "Keep unlocked"], end_hold_open: ["结束保持开锁", "End keeping unlocked"], block: ["停用此门", "Out of use"], unblock: ["恢复使用", "Back into use"],
  hours_on: ["进入开放时段", "Open hours begin"], hours_off: ["结束开放时段", "Open hours end"], doorbell: ["按门铃", "Ring the bell"],
  power_lost: ["门锁断电", "Lock loses its power"], power_back: ["门锁来电", "Lock has power again"], dark: ["走廊没灯", "Dark hallway"],
  people_list: ["名单", "The list"], list_add: ["名单加一个人", "Add somebody"], list_phone: ["新住户出示手机", "The newcomer's phone"], list_remove: ["从名单删除", "Remove them again"],
  withdraw: ["住户撤回人脸同意", "Resident withdraws the face"], enrol_again: ["住户重新同意并录入", "Resident is enrolled again"], edit_journal: ["篡改日志", "Edit the journal"], phone: ["住户的手机页面", "A resident's phone page"],
  counted: ["门上写了 {0} 条 · 服务器有 {1} 条 · {2}", "The door wrote {0} events · the server has {1} · {2}"],
  allThere: ["一条不少", "nothing lost"], onTheWay: ["{0} 条在路上", "{0} on their way"], kills: ["已强行终止 {0} 个程序", "{0} processes killed so far"],
  notYet: ["{0}：{1}", "{0}: {1}"], failed: ["{0}：没有做成。{1}", "{0}: did not work. {1}"], done: ["{0}……", "{0}…"],
  starting: ["演示正在启动…", "The demo is starting…"], gone: ["演示已停止。重新运行 make demo。", "The demo has stopped. Run make demo again."],
  unbuilt: ["后续版本提供。", "It comes with a later release."],
};
