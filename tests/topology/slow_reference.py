"""Slow, obviously correct counterparts of the fast code: plain loops, dictionaries, heaps."""

from collections import Counter, namedtuple
from heapq import heappop, heappush

import numpy as np

Cell = namedtuple("Cell", "dimension id")


def vertex_ranks(values):
    """Rank of each vertex with a value, by (value, id)."""
    flat = np.ravel(values)
    vertices = sorted(
        (v for v in range(flat.size) if flat[v] == flat[v]), key=lambda v: (flat[v], v)
    )
    return {vertex: rank for rank, vertex in enumerate(vertices)}


def grid_cells(values):
    """All cells of the triangulated grid whose vertices have values: cell -> its vertices."""
    values = np.asarray(values)
    ny, nx = (1, values.size) if values.ndim == 1 else values.shape
    has_value = ~np.isnan(values.ravel())

    def vertex(i, j):
        return i + j * nx

    edges = [(vertex(i, j), vertex(i + 1, j)) for j in range(ny) for i in range(nx - 1)]
    edges += [(vertex(i, j), vertex(i, j + 1)) for j in range(ny - 1) for i in range(nx)]
    edges += [(vertex(i + 1, j), vertex(i, j + 1)) for j in range(ny - 1) for i in range(nx - 1)]
    triangles = []
    for j in range(ny - 1):
        for i in range(nx - 1):
            triangles.append((vertex(i, j), vertex(i + 1, j), vertex(i, j + 1)))
            triangles.append((vertex(i + 1, j), vertex(i + 1, j + 1), vertex(i, j + 1)))
    cells = {}
    for dimension, corners in enumerate(([(v,) for v in range(nx * ny)], edges, triangles)):
        for number, vertices in enumerate(corners):
            if all(has_value[v] for v in vertices):
                cells[Cell(dimension, number)] = vertices
    return cells


def euler_characteristic(values):
    return sum((-1) ** cell.dimension for cell in grid_cells(values))


def faces_and_cofaces(cells):
    by_vertices = {frozenset(vertices): cell for cell, vertices in cells.items()}
    faces = {cell: [] for cell in cells}
    cofaces = {cell: [] for cell in cells}
    for cell, vertices in cells.items():
        for vertex in vertices:
            face = by_vertices.get(frozenset(vertices) - {vertex})
            if face is not None:
                faces[cell].append(face)
                cofaces[face].append(cell)
    return faces, cofaces


def discrete_gradient(values):
    """ProcessLowerStars (Robins, Wood, Sheppard 2011, algorithm 1), as written in the paper.

    Returns the pairs as a dictionary cell -> cell of one dimension more, and the critical cells.
    """
    cells = grid_cells(values)
    rank = vertex_ranks(values)
    faces, cofaces = faces_and_cofaces(cells)
    order = {cell: tuple(sorted((rank[v] for v in vs), reverse=True)) for cell, vs in cells.items()}
    lower_stars = {}
    for cell, key in order.items():
        lower_stars.setdefault(key[0], []).append(cell)

    pairs, critical = {}, set()
    for star in lower_stars.values():
        done = set()

        def unpaired_faces(cell, star=star, done=done):
            return [face for face in faces[cell] if face in star and face not in done]

        vertex = next(cell for cell in star if cell.dimension == 0)
        edges = [cell for cell in star if cell.dimension == 1]
        if not edges:
            critical.add(vertex)
            continue
        steepest = min(edges, key=order.get)
        pairs[vertex] = steepest
        done |= {vertex, steepest}
        zero, one = [], []
        for edge in edges:
            if edge != steepest:
                heappush(zero, (order[edge], edge))

        def push_cofaces(cell, star=star, one=one, unpaired_faces=unpaired_faces):
            for coface in cofaces[cell]:
                if coface in star and len(unpaired_faces(coface)) == 1:
                    heappush(one, (order[coface], coface))

        push_cofaces(steepest)
        while one or zero:
            while one:
                _, cell = heappop(one)
                if cell in done:
                    continue
                free = unpaired_faces(cell)
                if not free:
                    heappush(zero, (order[cell], cell))
                    continue
                pairs[free[0]] = cell
                done |= {free[0], cell}
                push_cofaces(cell)
                push_cofaces(free[0])
            while zero:
                _, cell = heappop(zero)
                if cell not in done:
                    critical.add(cell)
                    done.add(cell)
                    push_cofaces(cell)
                    break
    return pairs, critical


def persistence_pairs(values):
    """Reduce the boundary matrix of the lower-star filtration, column by column.

    Returns a multiset of (dimension of birth, birth vertex, death vertex); the death vertex is
    None for what never dies. Pairs within one lower star are left out.
    """
    cells = grid_cells(values)
    rank = vertex_ranks(values)
    vertex_of_rank = {r: v for v, r in rank.items()}
    faces, _ = faces_and_cofaces(cells)
    order = {cell: tuple(sorted((rank[v] for v in vs), reverse=True)) for cell, vs in cells.items()}
    filtration = sorted(cells, key=order.get)
    position = {cell: k for k, cell in enumerate(filtration)}
    columns, low_of = {}, {}
    for k, cell in enumerate(filtration):
        column = {position[face] for face in faces[cell]}
        while column and max(column) in low_of:
            column ^= columns[low_of[max(column)]]
        if column:
            columns[k] = column
            low_of[max(column)] = k

    pairs = Counter()
    deaths = set(low_of.values())
    for k, cell in enumerate(filtration):
        birth = vertex_of_rank[order[cell][0]]
        if k in low_of:
            death = vertex_of_rank[order[filtration[low_of[k]]][0]]
            if death != birth:
                pairs[cell.dimension, birth, death] += 1
        elif k not in deaths:
            pairs[cell.dimension, birth, None] += 1
    return pairs


class VPaths:
    """V-paths of a field's discrete gradient, followed cell by cell."""

    def __init__(self, values):
        self.pairs, self.critical = discrete_gradient(values)
        self.cells = grid_cells(values)
        _, self.cofaces = faces_and_cofaces(self.cells)
        self.face = {coface: face for face, coface in self.pairs.items()}

    def descending(self, vertex):
        """Cells from a vertex down to a minimum."""
        path = [Cell(0, vertex)]
        while path[-1] in self.pairs:
            edge = self.pairs[path[-1]]
            (following,) = set(self.cells[edge]) - {path[-1].id}
            path += [edge, Cell(0, following)]
        return path

    def ascending(self, top):
        """Cells from a triangle (or an edge of a 1-D field) up to a maximum, or to an open end."""
        path = [top]
        while path[-1] in self.face:
            face = self.face[path[-1]]
            path.append(face)
            path += [cell for cell in self.cofaces[face] if cell != path[-2]]
            if path[-1] == face:
                break
        return path


def superlevel_merges(values):
    """Each local maximum, and the highest vertex at which its component meets a higher one."""
    rank = vertex_ranks(values)
    neighbors = {vertex: set() for vertex in rank}
    for cell, vertices in grid_cells(values).items():
        if cell.dimension == 1:
            neighbors[vertices[0]].add(vertices[1])
            neighbors[vertices[1]].add(vertices[0])
    component, ends = {}, {}
    for vertex in sorted(rank, key=rank.get, reverse=True):
        above = {component[u] for u in neighbors[vertex] if u in component}
        highest = max(above, key=rank.get, default=vertex)
        for dying in above - {highest}:
            ends[dying] = vertex
        for u, maximum in component.items():
            if maximum in above:
                component[u] = highest
        component[vertex] = highest
    return ends
