/* AMX instructions executed in software, for processors that have none.
 *
 * A handler of SIGILL decodes the instruction at which the thread stopped, does what Intel's Software Developer's
 * Manual says (volume 2, "LDTILECFG" ... "TDPBUUD"), and lets the thread go on behind it. So the machine code that is
 * tested is the code that a processor with AMX runs. Every thread has tiles of its own. What is no AMX instruction, or
 * one that the processor would refuse (#UD, #GP), goes to the handler that was there before.
 *
 * Encodings are VEX.128 of the map 0F38: C4 [R X B 00010] [W vvvv L pp] opcode ModRM ...
 *   pp      49 (memory)  49 (register)           4B           5E
 *   0 none  ldtilecfg    tilerelease (ModRM C0)  -            tdpbuud
 *   1 66    sttilecfg    -                       tileloaddt1  tdpbusd
 *   2 F3    -            -                       tilestored   tdpbsud
 *   3 F2    -            tilezero                tileloadd    tdpbssd
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, LINE = 64, DWORDS = LINE / 4 };

struct config { uint8_t palette, start_row, zero[14]; uint16_t colsb[16]; uint8_t rows[16]; };

static __thread struct config config; /* palette 0: not configured */
static __thread uint8_t tile[TILES][ROWS][LINE];
static struct sigaction before;
static uint64_t executed;

uint64_t amx_executed(void) { return __atomic_load_n(&executed, __ATOMIC_RELAXED); }

/* ---- decoding */

static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

struct instruction {
    int pp, opcode, mod, reg, rm, vvvv, sib; /* reg, rm, vvvv with their fourth bits */
    uint64_t address, stride;                /* of memory; the stride is the scaled index */
    int length;
};

static uint64_t displacement(const uint8_t *at, int size)
{
    if (size == 1) return (uint64_t)(int64_t)(int8_t)at[0];
    int32_t wide;
    memcpy(&wide, at, 4);
    return (uint64_t)(int64_t)wide;
}

static int decode(const uint8_t *at, const greg_t *regs, struct instruction *in)
{
    memset(in, 0, sizeof *in);
    if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || (at[2] & 0x84)) return 0; /* W and L are zero */
    int r = ~at[1] >> 7 & 1, x = ~at[1] >> 6 & 1, b = ~at[1] >> 5 & 1;
    in->vvvv = ~at[2] >> 3 & 15;
    in->pp = at[2] & 3;
    in->opcode = at[3];
    in->mod = at[4] >> 6;
    in->reg = (at[4] >> 3 & 7) | r << 3;
    in->rm = (at[4] & 7) | b << 3;
    in->length = 5;
    if (in->mod == 3) return 1;
    int size = in->mod == 1 ? 1 : in->mod == 2 ? 4 : 0;
    if ((in->rm & 7) == 4) {
        int sib = at[in->length++], index = (sib >> 3 & 7) | x << 3, base = (sib & 7) | b << 3;
        in->sib = 1;
        if (index != 4) in->stride = (uint64_t)regs[order[index]] << (sib >> 6);
        if ((base & 7) == 5 && in->mod == 0) size = 4;
        else in->address = (uint64_t)regs[order[base]];
    } else if ((in->rm & 7) == 5 && in->mod == 0) {
        size = 4;
        in->address = (uint64_t)regs[REG_RIP] + in->length + 4;
    } else {
        in->address = (uint64_t)regs[order[in->rm]];
    }
    if (size) in->address += displacement(at + in->length, size);
    in->length += size;
    return 1;
}

/* ---- executing; 0 where the processor raises a fault */

static int load_config(const uint8_t *from)
{
    struct config next;
    memcpy(&next, from, sizeof next);
    if (next.palette > 1) return 0;
    if (next.palette == 1) {
        for (int i = 0; i < 14; i++) if (next.zero[i]) return 0;
        for (int t = 0; t < 16; t++) {
            int rows = next.rows[t], bytes = next.colsb[t];
            if (rows > ROWS || bytes > LINE || !rows != !bytes || (t >= TILES && rows)) return 0;
        }
    } else {
        memset(&next, 0, sizeof next);
    }
    config = next;
    memset(tile, 0, sizeof tile);
    return 1;
}

static int usable(int t) { return config.palette == 1 && t < TILES && config.rows[t] > 0; }

static int move(const struct instruction *in, int store)
{
    int t = in->reg, rows = config.rows[t & 7], bytes = config.colsb[t & 7];
    if (!in->sib || in->vvvv || !usable(t)) return 0;
    for (int row = config.start_row; row < rows; row++) {
        uint8_t *memory = (uint8_t *)(in->address + (uint64_t)row * in->stride);
        if (store) {
            memcpy(memory, tile[t][row], bytes);
        } else {
            memcpy(tile[t][row], memory, bytes);
            memset(tile[t][row] + bytes, 0, LINE - bytes);
        }
    }
    if (!store) memset(tile[t][rows], 0, (ROWS - rows) * LINE);
    config.start_row = 0;
    return 1;
}

static int multiply(const struct instruction *in)
{
    int c = in->reg, a = in->rm, b = in->vvvv; /* c += a * b */
    if (!usable(a) || !usable(b) || !usable(c) || a == b || a == c || b == c) return 0;
    int rows = config.rows[c], columns = config.colsb[c] / 4, depth = config.colsb[a] / 4;
    if ((config.colsb[a] | config.colsb[b] | config.colsb[c]) % 4) return 0;
    if (rows != config.rows[a] || config.colsb[c] != config.colsb[b] || depth != config.rows[b]) return 0;
    int a_signed = in->pp & 2, b_signed = in->pp & 1; /* ss 3, su 2, us 1, uu 0 */
    int32_t right[ROWS][4][DWORDS];
    for (int k = 0; k < depth; k++)
        for (int n = 0; n < columns; n++)
            for (int j = 0; j < 4; j++) {
                uint8_t code = tile[b][k][4 * n + j];
                right[k][j][n] = b_signed ? (int8_t)code : code;
            }
    for (int m = 0; m < rows; m++) {
        uint32_t sums[DWORDS] = { 0 };
        memcpy(sums, tile[c][m], 4 * columns);
        for (int k = 0; k < depth; k++)
            for (int j = 0; j < 4; j++) {
                uint8_t code = tile[a][m][4 * k + j];
                int32_t left = a_signed ? (int8_t)code : code;
                for (int n = 0; n < DWORDS; n++) sums[n] += n < columns ? (uint32_t)(left * right[k][j][n]) : 0;
            }
        memcpy(tile[c][m], sums, LINE);
    }
    memset(tile[c][rows], 0, (ROWS - rows) * LINE);
    config.start_row = 0;
    return 1;
}

static int execute(const struct instruction *in)
{
    int memory = in->mod != 3;
    if (in->opcode == 0x5E) return !memory && multiply(in);
    if (in->opcode == 0x4B) return memory && in->pp && move(in, in->pp == 2);
    if (in->opcode != 0x49 || in->vvvv) return 0;
    if (memory && (in->reg & 7)) return 0;
    if (memory && in->pp == 0) return load_config((const uint8_t *)in->address);
    if (memory && in->pp == 1) return memcpy((void *)in->address, &config, sizeof config) != 0;
    if (!memory && in->pp == 0 && in->reg == 0 && in->rm == 0) {
        memset(&config, 0, sizeof config);
        memset(tile, 0, sizeof tile);
        return 1;
    }
    if (memory || in->pp != 3 || in->rm != 0 || !usable(in->reg)) return 0;
    memset(tile[in->reg], 0, sizeof tile[0]);
    config.start_row = 0;
    return 1;
}

static void on_illegal(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct instruction in;
    int first = 1;
    (void)number;
    (void)info;
    while (decode((const uint8_t *)regs[REG_RIP], regs, &in) && execute(&in)) { /* others may follow at once */
        regs[REG_RIP] += in.length;
        __atomic_fetch_add(&executed, 1, __ATOMIC_RELAXED);
        first = 0;
    }
    if (first) sigaction(SIGILL, &before, 0); /* the instruction runs again, and is the former handler's */
}

int amx_trap(void)
{
    struct sigaction ours = { 0 };
    ours.sa_sigaction = on_illegal;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    return sigaction(SIGILL, &ours, &before);
}
