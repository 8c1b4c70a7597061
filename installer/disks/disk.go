package disks

// Disk is a whole disk as the kernel and its own content describe it. It is
// pure data: what is read on a machine can be kept as JSON and judged anywhere.
type Disk struct {
	Name       string `json:"name"`        // of the kernel, such as "nvme0n1"
	Path       string `json:"path"`        // the node, such as "/dev/nvme0n1"
	Number     string `json:"number"`      // MAJOR:MINOR
	Diskseq    uint64 `json:"diskseq"`     // grows with every disk that the kernel meets; 0 before Linux 5.15
	Size       int64  `json:"size"`        // bytes
	SectorSize int64  `json:"sector_size"` // bytes, logical
	Bus        string `json:"bus"`         // "nvme", "sata", "usb", "scsi", "virtio", "mmc", "loop", …; "" when nothing says so
	Model      string `json:"model"`
	Serial     string `json:"serial"` // "" when it has none
	WWID       string `json:"wwid"`
	Removable  bool   `json:"removable"` // as the kernel says: many USB disks are not
	ReadOnly   bool   `json:"read_only"`
	// Uses are who has the disk or a partition of it at this moment: mounts, swap,
	// and the devices that are made of it (md, dm, zram).
	Uses []Use `json:"uses,omitempty"`
	// Table is "gpt", "mbr" or "" when there is none.
	Table        string      `json:"table,omitempty"`
	TableProblem string      `json:"table_problem,omitempty"` // what is damaged of it
	DiskGUID     string      `json:"disk_guid,omitempty"`     // of a GPT, or the identifier of an MBR: eight hexadecimal digits
	Partitions   []Partition `json:"partitions,omitempty"`    // of the table, and those that the kernel alone knows
	Contents     []Content   `json:"contents,omitempty"`      // on the disk itself, without the table
	Problem      string      `json:"problem,omitempty"`       // why it could not be read
}

// Partition is a partition of a disk.
type Partition struct {
	Name     string    `json:"name"` // of the kernel, such as "nvme0n1p2"; "" when the kernel has not read the table
	Number   int       `json:"number"`
	Start    int64     `json:"start"` // bytes
	Size     int64     `json:"size"`  // bytes
	Type     string    `json:"type"`  // GUID of its type, or the byte of an MBR in hexadecimal
	GUID     string    `json:"guid"`  // PARTUUID
	Label    string    `json:"label"` // PARTLABEL
	Contents []Content `json:"contents,omitempty"`
}

// Content is one signature of a file system, container or other thing.
type Content struct {
	// Type is as blkid names it: "btrfs", "ext4", "vfat", "crypto_LUKS",
	// "LVM2_member", "swsuspend", …; or TypeData.
	Type   string `json:"type"`
	UUID   string `json:"uuid,omitempty"`  // as blkid prints it
	Label  string `json:"label,omitempty"` // of the file system
	Offset int64  `json:"offset"`          // of the signature, in bytes from the start of the disk or partition
	// Subvolumes are the paths of a btrfs' subvolumes, from its top level.
	Subvolumes []string `json:"subvolumes,omitempty"`
	// Repositories are the paths of restic repositories, from the top of the file
	// system, as far as we can read it.
	Repositories []string `json:"repositories,omitempty"`
	Hibernated   bool     `json:"hibernated,omitempty"` // a session sleeps in its swapfile or swap area
	Problem      string   `json:"problem,omitempty"`    // why more of it could not be read
}

// TypeData is the type of a disk that holds bytes which no signature explains.
const TypeData = "data"

// Use is somebody who has a disk or a partition of it.
type Use struct {
	Device string `json:"device"` // the disk or the partition, such as "nvme0n1p2"
	Kind   string `json:"kind"`   // "mount", "swap" or "holder"
	By     string `json:"by"`     // the mount point, "swap", or the device made of it
}
