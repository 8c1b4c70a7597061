# The units of a first boot and of backups, as package builder/adjust puts them into the
# image of a NixOS, in /var/lib/mkimage/units. From there only the initramfs of mkimage
# brings them into the running system; a NixOS that was rebuilt boots with its own.
#
# The result has the text of each unit, and which units start it.
let
  inherit (builtins) concatStringsSep elemAt filter foldl' genList length listToAttrs map replaceStrings toString;
  udev = import ./udev.nix;

  state = "/var/lib/mkimage";
  program = "${state}/bin/mkimage-firstboot";
  restic = "${state}/bin/restic";
  system = "/run/current-system/sw/bin";

  # The value of a setting, where "" means that nothing was said.
  or' = default: text: if text == "" then default else text;

  # Texts as systemd takes them: see systemd.unit(5), systemd.exec(5), and "Command lines"
  # in systemd.service(5).
  plain = replaceStrings [ "%" ] [ "%%" ];
  assignment = text: "\"${replaceStrings [ "\\" "\"" "%" ] [ "\\\\" "\\\"" "%%" ] text}\"";
  word = text: replaceStrings [ "$" ] [ "$$" ] (assignment text);

  key = ''
    [Unit]
    Description=Import the age key of the system's secrets from a key medium
    After=local-fs.target

    [Service]
    Type=oneshot
    ExecStart=${program} import --medium
  '';

  restore = r: ''
    [Unit]
    Description=Restore ${plain (or' "/home" (r.path or ""))} from the backup
    ConditionPathExists=!${state}/complete
    After=local-fs.target mkimage-secrets.service sops-install-secrets.service systemd-tmpfiles-setup.service
    ${if r.login or "" == "warn" then "" else "Before=systemd-user-sessions.service\n"}
    [Service]
    Type=oneshot
    NotifyAccess=main
    TimeoutStartSec=infinity
    StandardOutput=journal+console
    StandardError=journal+console
    ExecStart=${program} restore
  '';

  status = ''
    [Unit]
    Description=Tell what the first boot could not do yet
    ConditionPathExists=!${state}/complete
    After=mkimage-secrets.service
    Before=systemd-user-sessions.service

    [Service]
    Type=oneshot
    StandardOutput=journal+console
    ExecStart=${program} status --announce
  '';

  secret = name: "/run/secrets/${name}";

  # Places of the disks of backups: the first one has that of the restore.
  places = backups:
    let
      disks = foldl' (have: b: if b.disk or "" == "" || builtins.elem b.disk have then have else have ++ [ b.disk ]) [ ] backups;
      at = n: if n == 0 then "/mnt/backup" else "/mnt/backup-${toString (n + 1)}";
    in
    genList (n: { disk = elemAt disks n; where = at n; unit = "${udev.unitOfPath (at n)}.mount"; }) (length disks);

  mount = place: ''
    [Unit]
    Description=Disk of backups

    [Mount]
    What=${plain (udev.device place.disk)}
    Where=${place.where}
    Options=nosuid,nodev,noexec,noatime
  '';

  service = disks: b:
    let
      mine = filter (p: p.disk == b.disk or "") disks;
      place = elemAt mine 0;
      onDisk = lines: if mine == [ ] then "" else lines;
      repository = if mine == [ ] then b.repository else "${place.where}/${b.repository}";
      kept = filter (kind: b.keep.${kind} or 0 > 0) [ "daily" "weekly" "monthly" "yearly" ];
      paths = if b.paths or [ ] == [ ] then [ "/home" ] else b.paths;
    in
    ''
      [Unit]
      Description=Back up to ${plain b.name}
      After=mkimage-secrets.service sops-install-secrets.service mkimage-restore.service network-online.target
      Wants=network-online.target

      [Service]
      Type=oneshot
      Nice=10
      IOSchedulingClass=idle
      CacheDirectory=mkimage-restic
      CacheDirectoryMode=0700
      Environment=${assignment "RESTIC_REPOSITORY=${repository}"} ${assignment "RESTIC_PASSWORD_FILE=${secret b.password}"} RESTIC_CACHE_DIR=/var/cache/mkimage-restic
    ''
    + (if b.environment or "" == "" then "" else "EnvironmentFile=${plain (secret b.environment)}\n")
    + onDisk ''
      ExecCondition=${system}/test -e ${word (udev.device b.disk)}
      ExecStartPre=${system}/systemctl start ${word place.unit}
    ''
    + ''
      ExecCondition=${program} ready
      ExecStartPre=/bin/sh -c "${restic} cat config >/dev/null || ${restic} init"
      ExecStart=${restic} backup ${concatStringsSep " " ([ "--exclude-caches" ] ++ map (e: word "--exclude=${e}") (b.exclude or [ ]) ++ [ "--" ] ++ map word paths)}
    ''
    + (if kept == [ ] then "" else "ExecStart=${restic} forget --prune ${concatStringsSep " " (map (kind: "--keep-${kind} ${toString b.keep.${kind}}") kept)}\n")
    + onDisk "ExecStopPost=-${system}/systemctl stop --no-block ${word place.unit}\n";

  timer = b: ''
    [Unit]
    Description=Back up to ${plain b.name}

    [Timer]
    OnCalendar=${plain (or' "*-*-* 00:03:00" (b.schedule or ""))}
    RandomizedDelaySec=${plain (or' "1h" (b.random_delay or ""))}
    Persistent=yes

    [Install]
    WantedBy=timers.target
  '';

  unit = name: wantedBy: text: { inherit name; value = { inherit text wantedBy; }; };
  deviceUnit = path: "${udev.unitOfPath path}.device";
in
# profile: with all that it extends.
profile:
let
  backups = profile.backup or [ ];
  disks = places backups;
  secrets = profile.secrets or [ ] != [ ];
  restores = profile.restore or { } != { };
  when = condition: list: if condition then list else [ ];
in
listToAttrs (
  when (secrets || restores) [ (unit "mkimage-firstboot.service" [ "multi-user.target" ] status) ]
  ++ when secrets [ (unit "mkimage-age-key.service" [ (deviceUnit (udev.link "PARTLABEL" "MKIMAGE-KEYS")) ] key) ]
  ++ when restores [ (unit "mkimage-restore.service" [ (deviceUnit (udev.device profile.restore.disk)) ] (restore profile.restore)) ]
  ++ map (place: unit place.unit [ ] (mount place)) disks
  ++ map (b: unit "mkimage-backup-${b.name}.service" [ ] (service disks b)) backups
  ++ map (b: unit "mkimage-backup-${b.name}.timer" [ "timers.target" ] (timer b)) backups
)
